package dev.lorikeet.training.data;

import java.util.List;

/**
 * The examples of a file in their order: all of them texts, preferences or paraphrases.
 *
 * @param examples at least one
 * @param truncated how many of them were cut
 * @param leftOut how many more the file has that were too long
 */
public record ExampleSet(List<Example> examples, int truncated, int leftOut) {
  public ExampleSet {
    examples = List.copyOf(examples);
    if (examples.isEmpty()) {
      throw new IllegalArgumentException("examples: expected at least one, found none");
    }
  }

  /** Returns whether these are preferences. */
  public boolean preferences() {
    return examples.getFirst() instanceof Example.Preference;
  }

  /** Returns how many tokens go through the model for all of them. */
  public long tokens() {
    return examples.stream().mapToLong(Example::tokens).sum();
  }
}
