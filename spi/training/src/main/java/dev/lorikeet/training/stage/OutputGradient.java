package dev.lorikeet.training.stage;

import dev.lorikeet.tensor.Tensor;

/** The gradient of some loss with respect to what a stage gave. */
public sealed interface OutputGradient {
  /**
   * With respect to hidden states, as the next stage returned it.
   *
   * @param gradient {@code [>= tokens, hidden]}, F32; only read
   */
  record OfHidden(Tensor gradient) implements OutputGradient {}

  /**
   * With respect to log-probabilities. A loss is whatever they come of: {@code -1 / n} for the mean
   * cross-entropy of n tokens, and for losses of pairs whatever their formula gives.
   *
   * @param coefficients one for each token; those of tokens without a label are not looked at
   * @param states with respect to the hidden states that the micro-batch shows, {@code [shown,
   *     hidden]}
   */
  @SuppressWarnings("ArrayRecordComponent") // never compared
  record OfLogProbabilities(float[] coefficients, float[] states) implements OutputGradient {
    /** Creates a gradient for a micro-batch that shows no states. */
    public OfLogProbabilities(float[] coefficients) {
      this(coefficients, new float[0]);
    }
  }
}
