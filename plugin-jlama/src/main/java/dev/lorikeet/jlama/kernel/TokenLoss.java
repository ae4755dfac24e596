package dev.lorikeet.jlama.kernel;

/**
 * What the loss needs of logits, a chunk of the vocabulary at a time: the logarithm of the sum of
 * exponentials in a first pass, the gradient of a label's log-probability in a second, for which
 * the logits are computed again. A row's result depends on that row and on how the vocabulary is
 * cut, bit for bit. Implementations are stateless and allocate nothing.
 */
public sealed interface TokenLoss permits ScalarTokenLoss, VectorTokenLoss {
  /**
   * Takes a chunk of a row of logits into its running sum of exponentials: afterwards {@code
   * max[row] + log(sum[row])} is the logarithm of the sum over all chunks so far. Not finite if a
   * logit is NaN or positive infinity.
   *
   * @param logits the chunk; overwritten
   * @param row the row
   * @param columns how many logits
   * @param max the largest so far; {@code -infinity} before the first chunk
   * @param sum the sum so far of {@code exp(logit - max)}; 0 before the first chunk
   */
  void take(Rows logits, int row, int columns, double[] max, double[] sum);

  /**
   * Replaces a chunk of a row of logits by {@code coefficient} times the gradient of the label's
   * log-probability with respect to them: {@code (1 at the label) - exp(logit - logSumExp)}.
   *
   * @param label the label's place in the chunk, or -1 if it is in another
   */
  void gradient(Rows logits, int row, int columns, int label, double logSumExp, float coefficient);
}
