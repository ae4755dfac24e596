/** What fine-tuning costs, many tasks at once and beside PyTorch. */
@NullMarked
package dev.lorikeet.bench.train;

import org.jspecify.annotations.NullMarked;
