/** The benchmarks' command line, over one package for each benchmark. */
@NullMarked
package dev.lorikeet.bench;

import org.jspecify.annotations.NullMarked;
