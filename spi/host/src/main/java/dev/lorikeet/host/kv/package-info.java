/** The paged KV cache: pages of sequences, and beginnings that sequences share. */
@NullMarked
package dev.lorikeet.host.kv;

import org.jspecify.annotations.NullMarked;
