/** Kernels against their roofline. */
@NullMarked
package dev.lorikeet.bench.kernels;

import org.jspecify.annotations.NullMarked;
