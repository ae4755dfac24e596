package dev.lorikeet.routing;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;

/** What a token router wants to know of a sequence's past, beside the token itself. */
public sealed interface RunningContext {
  /** Nothing. */
  record None() implements RunningContext {}

  /**
   * The decayed mean of the sequence's embeddings up to and including the token: {@code m = decay *
   * m + (1 - decay) * e}, beginning with the first embedding.
   *
   * @param decay from 0 inclusive to 1 exclusive
   */
  record MeanEmbedding(float decay) implements RunningContext {
    public MeanEmbedding {
      if (!(decay >= 0 && decay < 1)) {
        throw new LorikeetException(Code.INVALID_REQUEST, "decay: expected [0, 1), found " + decay);
      }
    }
  }

  /**
   * For a generated token, the final hidden state (after the last norm) of the token before it; for
   * a prompt token, zeros.
   */
  record LastHidden() implements RunningContext {}
}
