/** Tests of training on the CPU. */
@NullMarked
package dev.lorikeet.jlama.training;

import org.jspecify.annotations.NullMarked;
