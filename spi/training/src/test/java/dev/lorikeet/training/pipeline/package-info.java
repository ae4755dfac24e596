@NullMarked
package dev.lorikeet.training.pipeline;

import org.jspecify.annotations.NullMarked;
