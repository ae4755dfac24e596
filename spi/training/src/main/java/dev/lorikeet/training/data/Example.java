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
   * A prompt in two wordings, both with the same completion.
   *
   * @param original the first wording with the completion, which alone has labels; the token before
   *     the first label is the prompt's last
   * @param paraphrased the second wording, likewise
   */
  record Paraphrase(Text original, Text paraphrased) implements Example {
    public Paraphrase {
      lastOfPrompt(original);
      lastOfPrompt(paraphrased);
    }

    /** Returns the place of the last token of a prompt. */
    public static int lastOfPrompt(Text wording) {
      for (int t = 1; t < wording.labels().length; t++) {
        if (wording.labels()[t] != MicroBatch.NO_LOSS) {
          return t - 1;
        }
      }
      throw new IllegalArgumentException(
          "example: expected a prompt and a completion of at least one token, found no label"
              + " behind the first of "
              + wording.labels().length
              + " tokens");
    }

    @Override
    public int tokens() {
      return original.tokens() + paraphrased.tokens();
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
