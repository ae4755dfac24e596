/** Examples to learn from, and the files that they come from. */
@NullMarked
package dev.lorikeet.training.data;

import org.jspecify.annotations.NullMarked;
