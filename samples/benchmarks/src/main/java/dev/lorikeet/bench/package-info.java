/** The benchmarks' command line, and what its commands share. */
@NullMarked
package dev.lorikeet.bench;

import org.jspecify.annotations.NullMarked;
