/**
 * Dense CPU kernels: matrix products over BF16, F16, F32 and Q4 weights, elementwise operations,
 * paged attention, and the team of threads that runs them. Each fast kernel uses the Vector API and
 * has a plain scalar twin; {@link dev.lorikeet.jlama.kernel.Kernels} chooses between them once, at
 * start-up.
 */
@NullMarked
package dev.lorikeet.jlama.kernel;

import org.jspecify.annotations.NullMarked;
