/**
 * Stages of layers one behind the other, in threads or processes: micro-batches go through them
 * forward and back, several at once.
 */
@NullMarked
package dev.lorikeet.training.pipeline;

import org.jspecify.annotations.NullMarked;
