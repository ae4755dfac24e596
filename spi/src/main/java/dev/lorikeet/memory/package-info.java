/** The page pool that KV cache and adapter weights share (unified paging). */
@NullMarked
package dev.lorikeet.memory;

import org.jspecify.annotations.NullMarked;
