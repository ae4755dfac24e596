package dev.lorikeet.jlama.kernel;

import java.util.List;

/**
 * The backward of {@link MatMul} through frozen weights: from the gradients of products that share
 * an input to the gradient of that input, {@code dx = sum over j of dy_j W_j}, with {@code dy_j}
 * {@code [tokens, out_j]}, {@code W_j} {@code [out_j, in]} and dx {@code [tokens, in]}. Weights are
 * read as they are stored; no transposed copy is made.
 *
 * <p>One phase of a {@link WorkerTeam}, which may be repeated. The result for a token depends on
 * that token's gradients and on the weights alone: not on the other tokens, on how many there are,
 * or on the number of shards, bit for bit. It depends on the implementation and on the width of the
 * vector unit. Sums are float32.
 *
 * <p>Implementations are stateless and allocate nothing. Memory must stay alive while a call runs;
 * sizes are checked once per call, with {@link IllegalArgumentException}.
 */
public sealed interface BackMatMul permits ScalarBackMatMul, VectorBackMatMul {
  /** Columns of dx that are computed together: a shard's slice is a whole number of units. */
  int UNIT = MatMul.MAX_BLOCK;

  /**
   * One product of the input.
   *
   * @param weights W, {@code [out, in]}
   * @param dy the gradient of the product, {@code [>= tokens, out]}
   */
  record Term(WeightMatrix weights, Rows dy) {}

  /**
   * Computes one shard's slice of the input features for all tokens.
   *
   * @param terms the products of the input, at least one
   * @param dx receives the gradient, {@code [>= tokens, in]}; overwritten; must not overlap a dy
   * @param tokens the number of rows
   * @param scratch memory of the workers
   */
  void multiply(List<Term> terms, Rows dx, int tokens, BackScratch scratch, Shard shard);

  /** Checks the operands of {@link #multiply}. */
  static void check(List<Term> terms, Rows dx, int tokens) {
    if (terms.isEmpty()) {
      throw new IllegalArgumentException("backward product: expected at least one term");
    }
    dx.check("dx", tokens, dx.columns());
    for (Term term : terms) {
      if (term.weights().columns() != dx.columns()) {
        throw new IllegalArgumentException(
            "backward product: the weights have "
                + term.weights().columns()
                + " columns, dx "
                + dx.columns());
      }
      term.dy().check("dy", tokens, term.weights().rows());
    }
  }
}
