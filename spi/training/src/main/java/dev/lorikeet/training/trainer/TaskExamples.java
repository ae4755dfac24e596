package dev.lorikeet.training.trainer;

import dev.lorikeet.training.data.Example;
import java.util.List;
import java.util.function.LongFunction;

/**
 * What a task learns from, and what it is judged by.
 *
 * @param training gives the n-th example that is taken, from 0; the same for the same n
 * @param validation examples that it does not learn from; may be empty
 */
public record TaskExamples(LongFunction<Example> training, List<Example> validation) {
  public TaskExamples {
    validation = List.copyOf(validation);
  }

  /** Returns examples to learn from alone. */
  public static TaskExamples of(LongFunction<Example> training) {
    return new TaskExamples(training, List.of());
  }
}
