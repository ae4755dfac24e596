/**
 * What stands in for a GPU in tests, and what judges native sources: the emulated driver, a C++
 * compiler, a CUDA toolkit where there is one.
 */
@NullMarked
package dev.lorikeet.cuda.emulation;

import org.jspecify.annotations.NullMarked;
