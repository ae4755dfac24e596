package dev.lorikeet.jlama.lora;

import dev.lorikeet.adapter.LoraWeights;

/** In which order the products behind the gradients of A and B are taken. */
enum GradientOrder {
  /** A x and B^T dy first: everything goes through the rank. */
  RANK,
  /** dy^T x first: a matrix of the weights' size, from which both gradients follow. */
  PRODUCT;

  /**
   * Returns the order with fewer multiply-adds for the two gradients and what they alone need (A x,
   * as B^T dy is needed for dx): {@code entries * r (2 in + out)} or {@code (entries + 2 r) in
   * out}. The factors and the number of entries decide, nothing else in the call.
   */
  static GradientOrder cheapest(LoraWeights weights, int entries) {
    double rank = weights.rank();
    double in = weights.a().width();
    double out = weights.b().width();
    return (entries + 2 * rank) * in * out < entries * rank * (2 * in + out) ? PRODUCT : RANK;
  }

  /**
   * Returns whether this order is offered for factors: of dense ones alone is the product dense.
   */
  boolean takes(LoraWeights weights) {
    return this == RANK || (weights.a().blocks() == 1 && weights.b().blocks() == 1);
  }
}
