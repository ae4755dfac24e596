/**
 * The seam between engine and hardware: one step over a ragged batch, and the decoder that computes
 * it.
 */
@NullMarked
package dev.lorikeet.host.step;

import org.jspecify.annotations.NullMarked;
