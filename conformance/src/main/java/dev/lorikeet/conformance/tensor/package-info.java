/**
 * Matrices and adapters in host memory with numbers of the suite's own, read and written element by
 * element. Not for users of the suite.
 */
@NullMarked
package dev.lorikeet.conformance.tensor;

import org.jspecify.annotations.NullMarked;
