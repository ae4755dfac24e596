@NullMarked
package dev.lorikeet.training.learning;

import org.jspecify.annotations.NullMarked;
