package dev.lorikeet.model;

import java.util.List;
import java.util.Set;

/**
 * When a generation ends.
 *
 * @param maxTokens how many tokens are generated at most, at least 1
 * @param strings texts that end the generation when they appear in the generated text; they and
 *     what follows are not part of the result; none empty
 * @param tokens token ids that end it, beside the model's end-of-sequence tokens; the token is not
 *     part of the text
 * @param ignoreEos whether the model's end-of-sequence tokens are treated as ordinary tokens
 */
public record StopConditions(
    int maxTokens, List<String> strings, Set<Integer> tokens, boolean ignoreEos) {
  public StopConditions {
    strings = List.copyOf(strings);
    tokens = Set.copyOf(tokens);
    if (maxTokens < 1) {
      throw new IllegalArgumentException("maxTokens: expected >= 1, found " + maxTokens);
    }
    if (strings.stream().anyMatch(String::isEmpty)) {
      throw new IllegalArgumentException("stop strings: expected none empty");
    }
  }

  /** Returns the model's end-of-sequence tokens and a maximum. */
  public static StopConditions maxTokens(int maxTokens) {
    return new StopConditions(maxTokens, List.of(), Set.of(), false);
  }
}
