/** LoRA executors: low-rank deltas for a whole batch, and switching of merged weights. */
@NullMarked
package dev.lorikeet.executor;

import org.jspecify.annotations.NullMarked;
