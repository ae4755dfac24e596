/** The forward pass of the CPU over ragged batches. */
@NullMarked
package dev.lorikeet.jlama.decoder;

import org.jspecify.annotations.NullMarked;
