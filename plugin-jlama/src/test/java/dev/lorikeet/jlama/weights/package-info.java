/**
 * Tests of model loading, with the random models and Jlama's own forward pass that other tests
 * compare against.
 */
@NullMarked
package dev.lorikeet.jlama.weights;

import org.jspecify.annotations.NullMarked;
