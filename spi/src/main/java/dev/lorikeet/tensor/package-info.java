/**
 * Typed, strided views of memory on the host or on a device; how numeric data crosses module
 * borders without copies.
 */
@NullMarked
package dev.lorikeet.tensor;

import org.jspecify.annotations.NullMarked;
