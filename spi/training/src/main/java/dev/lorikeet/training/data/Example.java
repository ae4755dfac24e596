package dev.lorikeet.training.data;

import dev.lorikeet.training.stage.MicroBatch;

/** One thing to learn from, as token ids. The arrays are not copied and must not be changed. */
public sealed interface Example {
  /** Returns how many tokens go through the model for it. */
  int tokens();

  /**
   * A sequence.
   *
   * @param ids the tokens
   * @param labels for each token its own id if it is to be predicted from those before it, or
   *     {@link MicroBatch#NO_LOSS}
   */
  @SuppressWarnings("ArrayRecordComponent") // a list would take five times the memory
  record Text(int[] ids, int[] labels) implements Example {
    public Text {
      if (ids.length == 0 || labels.length != ids.length) {
        throw new IllegalArgumentException(
            "example: expected tokens and as many labels, found "
                + ids.length
                + " and "
                + labels.length);
      }
    }

    @Override
    public int tokens() {
      return ids.length;
    }
  }

  /**
   * A prompt with an answer that is preferred to another.
   *
   * @param prompt the tokens before the answers, at least one
   * @param chosen the better answer, at least one token
   * @param rejected the worse answer, at least one token
   */
  @SuppressWarnings("ArrayRecordComponent") // a list would take five times the memory
  record Preference(int[] prompt, int[] chosen, int[] rejected) implements Example {
    public Preference {
      if (prompt.length == 0 || chosen.length == 0 || rejected.length == 0) {
        throw new IllegalArgumentException(
            "example: expected a prompt and two answers of at least one token, found "
                + prompt.length
                + ", "
                + chosen.length
                + " and "
                + rejected.length);
      }
    }

    @Override
    public int tokens() {
      return 2 * prompt.length + chosen.length + rejected.length;
    }
  }
}
