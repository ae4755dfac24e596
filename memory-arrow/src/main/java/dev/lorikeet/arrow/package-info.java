/**
 * Off-heap memory on Apache Arrow: the page pool, the page-backed adapter store, and the readers of
 * adapter files.
 */
@NullMarked
package dev.lorikeet.arrow;

import org.jspecify.annotations.NullMarked;
