package dev.lorikeet.model;

import java.util.List;

/**
 * Log-probabilities of given tokens.
 *
 * @param tokens the token ids
 * @param logProbabilities for each token but the first, the natural logarithm of its probability
 *     given those before; one shorter than {@code tokens}
 */
public record Score(List<Integer> tokens, List<Double> logProbabilities) {
  public Score {
    tokens = List.copyOf(tokens);
    logProbabilities = List.copyOf(logProbabilities);
    if (logProbabilities.size() != tokens.size() - 1) {
      throw new IllegalArgumentException(
          "logProbabilities: expected "
              + (tokens.size() - 1)
              + ", found "
              + logProbabilities.size());
    }
  }

  /** Returns the sum of the log-probabilities. */
  public double total() {
    return logProbabilities.stream().mapToDouble(Double::doubleValue).sum();
  }

  /**
   * Returns the perplexity: the exponential of the mean negative log-probability; 1 for a single
   * token.
   */
  public double perplexity() {
    return logProbabilities.isEmpty() ? 1 : Math.exp(-total() / logProbabilities.size());
  }
}
