@NullMarked
package dev.lorikeet.training.trainer;

import org.jspecify.annotations.NullMarked;
