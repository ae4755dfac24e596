/**
 * What adapters change beside the products of their factors: outputs of modules that are multiplied
 * (DoRA, IA3), biases, rows of embeddings and of the output layer.
 */
@NullMarked
package dev.lorikeet.jlama.parts;

import org.jspecify.annotations.NullMarked;
