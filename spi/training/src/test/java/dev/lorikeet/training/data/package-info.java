@NullMarked
package dev.lorikeet.training.data;

import org.jspecify.annotations.NullMarked;
