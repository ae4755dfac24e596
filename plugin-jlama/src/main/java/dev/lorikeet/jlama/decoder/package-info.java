/** The forward pass over ragged batches and the paged KV cache. */
@NullMarked
package dev.lorikeet.jlama.decoder;

import org.jspecify.annotations.NullMarked;
