@NullMarked
package dev.lorikeet.training.optimizer;

import org.jspecify.annotations.NullMarked;
