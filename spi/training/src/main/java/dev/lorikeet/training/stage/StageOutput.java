package dev.lorikeet.training.stage;

import dev.lorikeet.tensor.Tensor;

/** What a stage gives. */
public sealed interface StageOutput {
  /**
   * Hidden states for the next stage.
   *
   * @param states {@code [tokens, hidden]}, F32; only read, valid until the pass is closed
   */
  record Hidden(Tensor states) implements StageOutput {}

  /**
   * The outcome of the last stage.
   *
   * @param values for each token the log-probability of its label, natural logarithm; 0 for tokens
   *     without. Not finite where the model's numbers are not. Belongs to whoever asked for it
   * @param states for each token that the micro-batch shows its hidden state behind the final norm,
   *     {@code [shown, hidden]}; likewise
   */
  @SuppressWarnings("ArrayRecordComponent") // never compared
  record LogProbabilities(double[] values, float[] states) implements StageOutput {}
}
