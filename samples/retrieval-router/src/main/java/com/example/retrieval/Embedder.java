package com.example.retrieval;

/** Turns texts into vectors whose cosine tells how near they are in meaning. Thread-safe. */
@FunctionalInterface
interface Embedder {
  /** Returns a vector of length 1, always of the same dimension. */
  float[] embed(String text);
}
