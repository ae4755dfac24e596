/** Measures pipelines of processes under their schedules, beside what a simulator says. */
@NullMarked
package dev.lorikeet.bench.pipeline;

import org.jspecify.annotations.NullMarked;
