package dev.lorikeet.training.data;

import dev.lorikeet.training.stage.MicroBatch;
import java.util.Arrays;
import java.util.Optional;

/** Examples that are too long, without their ends. */
final class Shortened {
  private Shortened() {}

  /** Returns the length of the longest sequence of an example. */
  static int longest(Example example) {
    return switch (example) {
      case Example.Text text -> text.ids().length;
      case Example.Preference pair ->
          pair.prompt().length + Math.max(pair.chosen().length, pair.rejected().length);
      case Example.Paraphrase pair ->
          Math.max(pair.original().tokens(), pair.paraphrased().tokens());
    };
  }

  /**
   * Returns an example whose sequences have at most {@code most} tokens, or nothing if no token
   * with a loss is left.
   */
  static Optional<Example> of(Example example, int most) {
    return switch (example) {
      case Example.Text text -> text(text, most).map(shorter -> shorter);
      case Example.Preference pair -> preference(pair, most);
      case Example.Paraphrase(Example.Text original, Example.Text paraphrased) ->
          text(original, most)
              .flatMap(
                  first ->
                      text(paraphrased, most).map(second -> new Example.Paraphrase(first, second)));
    };
  }

  @SuppressWarnings("ReferenceEquality") // one array may be both, and then stays so
  private static Optional<Example.Text> text(Example.Text text, int most) {
    if (text.tokens() <= most) {
      return Optional.of(text);
    }
    int[] ids = Arrays.copyOf(text.ids(), most);
    int[] labels = text.labels() == text.ids() ? ids : Arrays.copyOf(text.labels(), most);
    return hasLoss(labels) ? Optional.of(new Example.Text(ids, labels)) : Optional.empty();
  }

  private static Optional<Example> preference(Example.Preference pair, int most) {
    int rest = most - pair.prompt().length;
    return rest < 1
        ? Optional.empty()
        : Optional.of(
            new Example.Preference(
                pair.prompt(), cut(pair.chosen(), rest), cut(pair.rejected(), rest)));
  }

  private static int[] cut(int[] answer, int most) {
    return answer.length <= most ? answer : Arrays.copyOf(answer, most);
  }

  /** Returns whether any token but the first has a label. */
  static boolean hasLoss(int[] labels) {
    for (int t = 1; t < labels.length; t++) {
      if (labels[t] != MicroBatch.NO_LOSS) {
        return true;
      }
    }
    return false;
  }
}
