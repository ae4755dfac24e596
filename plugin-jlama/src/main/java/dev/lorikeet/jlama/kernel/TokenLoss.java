package dev.lorikeet.jlama.kernel;

/**
 * What the loss needs of logits, a chunk of the vocabulary at a time. A row's result depends on
 * that row and on how the vocabulary is cut, bit for bit. Implementations are stateless and
 * allocate nothing.
 */
public sealed interface TokenLoss permits ScalarTokenLoss, VectorTokenLoss {
  /**
   * Takes a chunk of a row of logits into its running sum of exponentials: afterwards {@code
   * max[row] + log(sum[row])} is the logarithm of the sum over all chunks so far. Not finite if a
   * logit is NaN or positive infinity.
   *
   * @param logits the chunk in; out, {@code exp(logit - max[row])}
   * @param row the row
   * @param columns how many logits
   * @param max the largest so far; {@code -infinity} before the first chunk
   * @param sum the sum so far of {@code exp(logit - max)}; 0 before the first chunk
   * @return by what sums of former chunks have to be multiplied, since the largest has changed
   */
  float take(Rows logits, int row, int columns, double[] max, double[] sum);

  /** {@code y[row] = factor * (y[row] + x[row])}. */
  void addAndScale(Rows x, Rows y, int row, float factor);

  /**
   * Computes the gradient of a label's log-probability with respect to what the output matrix is
   * multiplied by: {@code dx = coefficient * (W[label] - expected)}.
   *
   * @param output W, {@code [vocabulary, hidden]}
   * @param label the label
   * @param expected the sum of the rows of W, each times its probability: {@code [>= row, hidden]}
   * @param dx receives the gradient; may be {@code expected}
   */
  void gradient(WeightMatrix output, int label, Rows expected, Rows dx, int row, float coefficient);
}
