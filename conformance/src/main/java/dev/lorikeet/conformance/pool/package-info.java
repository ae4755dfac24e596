/** The rules of page pools, and the pool that the suite lends. Not for users of the suite. */
@NullMarked
package dev.lorikeet.conformance.pool;

import org.jspecify.annotations.NullMarked;
