/** From request to streamed tokens: queue, continuous batching, sampling. */
@NullMarked
package dev.lorikeet.jlama.serving;

import org.jspecify.annotations.NullMarked;
