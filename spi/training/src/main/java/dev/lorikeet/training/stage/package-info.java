/**
 * The seam between a trainer and the hardware: a micro-batch goes forward and backward through the
 * stages of a frozen base, one after the other, be they in one process or in several.
 */
@NullMarked
package dev.lorikeet.training.stage;

import org.jspecify.annotations.NullMarked;
