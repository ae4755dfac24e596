package dev.lorikeet.training.data;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import java.util.ArrayList;
import java.util.List;

/**
 * Examples to learn from, and others to judge by what was learned; both in the order in which the
 * file has them.
 *
 * @param training at least one
 * @param validation may be empty
 */
public record ExampleSplit(List<Example> training, List<Example> validation) {
  /** The stream of random numbers; those of epochs count from 0. */
  private static final long STREAM = -1;

  public ExampleSplit {
    training = List.copyOf(training);
    validation = List.copyOf(validation);
    if (training.isEmpty()) {
      throw new IllegalArgumentException("training examples: expected at least one, found none");
    }
  }

  /**
   * Holds back a part of examples that depends on their number, the fraction and the seed alone.
   *
   * @param fraction above 0 and below 1; rounded to whole examples, at least one on either side
   * @throws LorikeetException with {@code DATA_INVALID} if there are fewer than two examples
   */
  public static ExampleSplit of(List<Example> examples, double fraction, long seed) {
    if (!(fraction > 0 && fraction < 1)) {
      throw new IllegalArgumentException(
          "validation fraction: expected more than 0 and less than 1, found " + fraction);
    }
    int count = examples.size();
    if (count < 2) {
      throw new LorikeetException(
          Code.DATA_INVALID,
          "examples: expected at least 2, of which some can be held back, found " + count);
    }
    int held = Math.clamp(Math.round(fraction * count), 1, count - 1);
    boolean[] back = new boolean[count];
    int[] order = ExampleOrder.permutation(seed, STREAM, count);
    for (int i = 0; i < held; i++) {
      back[order[i]] = true;
    }
    List<Example> training = new ArrayList<>(count - held);
    List<Example> validation = new ArrayList<>(held);
    for (int i = 0; i < count; i++) {
      (back[i] ? validation : training).add(examples.get(i));
    }
    return new ExampleSplit(training, validation);
  }
}
