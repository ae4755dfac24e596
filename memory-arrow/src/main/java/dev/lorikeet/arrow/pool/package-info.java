/** The page pool: one Arrow allocation that KV cache and adapters share. */
@NullMarked
package dev.lorikeet.arrow.pool;

import org.jspecify.annotations.NullMarked;
