/** JMH benchmarks, with code that JMH generates around them. */
@NullMarked
package dev.lorikeet.bench.kernels.jmh;

import org.jspecify.annotations.NullMarked;
