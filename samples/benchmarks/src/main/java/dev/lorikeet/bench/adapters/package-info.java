/** Thousands of adapters over one model: throughput, latency and memory. */
@NullMarked
package dev.lorikeet.bench.adapters;

import org.jspecify.annotations.NullMarked;
