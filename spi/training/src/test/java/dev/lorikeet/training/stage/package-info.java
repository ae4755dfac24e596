/** Tests of the seam. */
@NullMarked
package dev.lorikeet.training.stage;

import org.jspecify.annotations.NullMarked;
