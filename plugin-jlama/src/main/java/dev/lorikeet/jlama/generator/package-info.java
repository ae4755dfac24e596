/** Lorikeet behind Jlama's own interface, for applications written against Jlama. */
@NullMarked
package dev.lorikeet.jlama.generator;

import org.jspecify.annotations.NullMarked;
