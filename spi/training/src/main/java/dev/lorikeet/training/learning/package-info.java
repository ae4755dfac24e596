/** What learns: adapters with their gradients, and what computes them. */
@NullMarked
package dev.lorikeet.training.learning;

import org.jspecify.annotations.NullMarked;
