/** From request to streamed tokens: queue, continuous batching, sampling. */
@NullMarked
package dev.lorikeet.host.serving;

import org.jspecify.annotations.NullMarked;
