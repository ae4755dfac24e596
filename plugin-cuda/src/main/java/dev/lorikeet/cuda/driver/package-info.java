/**
 * A small typed layer over the CUDA driver API: every return code is checked, everything that is
 * allocated has one closeable owner, and raw pointers do not leave it but as device addresses.
 */
@NullMarked
package dev.lorikeet.cuda.driver;

import org.jspecify.annotations.NullMarked;
