/**
 * Hugging Face model directories: configuration, rotary frequencies and weights, checked before use
 * and mapped into memory without copies.
 */
@NullMarked
package dev.lorikeet.jlama.weights;

import org.jspecify.annotations.NullMarked;
