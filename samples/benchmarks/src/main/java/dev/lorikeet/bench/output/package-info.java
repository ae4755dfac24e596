/** How benchmarks show and keep what they find. */
@NullMarked
package dev.lorikeet.bench.output;

import org.jspecify.annotations.NullMarked;
