package dev.lorikeet.training.stage;

/**
 * Which of a task's adapters each of its tokens uses, and how much: decided before the first layer,
 * for all layers. The arrays are not copied and must not be changed.
 *
 * @param topK how many adapters a token uses
 * @param choices {@code [tokens, topK]}, for each token of the task, in the order of the
 *     micro-batch, which of its adapters, each once
 * @param weights likewise, how much of them
 */
@SuppressWarnings("ArrayRecordComponent") // never compared
public record TokenMixture(int topK, int[] choices, float[] weights) {
  public TokenMixture {
    if (topK < 1 || choices.length % topK != 0 || weights.length != choices.length) {
      throw new IllegalArgumentException(
          "mixture: expected "
              + topK
              + " adapters for each token and as many weights, found "
              + choices.length
              + " and "
              + weights.length);
    }
  }

  /** Returns how many tokens there are. */
  public int tokens() {
    return choices.length / topK;
  }

  /** Returns the place of an adapter among the choices of a token; -1 if it is not one of them. */
  public int place(int token, int adapter) {
    for (int i = token * topK; i < (token + 1) * topK; i++) {
      if (choices[i] == adapter) {
        return i;
      }
    }
    return -1;
  }
}
