/** Throughput of the families of models, by the bytes of weights that a step reads. */
@NullMarked
package dev.lorikeet.bench.families;

import org.jspecify.annotations.NullMarked;
