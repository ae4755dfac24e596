package dev.lorikeet.model;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import java.util.List;
import java.util.Set;

/**
 * When a generation ends.
 *
 * <p>Make them with {@link #maxTokens(int)}: the canonical constructor may gain parameters.
 *
 * @param maxTokens how many tokens are generated at most, at least 1
 * @param strings texts that end the generation when they appear in the generated text; they and
 *     what follows are not part of the result; none empty. Special tokens are not part of the text:
 *     a text that is one of the tokenizer's ends the generation at that token
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
      throw new LorikeetException(
          Code.INVALID_REQUEST, "maxTokens: expected >= 1, found " + maxTokens);
    }
    if (strings.stream().anyMatch(String::isEmpty)) {
      throw new LorikeetException(
          Code.INVALID_REQUEST, "strings: expected none empty, found " + strings);
    }
  }

  /** Returns the model's end-of-sequence tokens and a maximum. */
  public static StopConditions maxTokens(int maxTokens) {
    return new StopConditions(maxTokens, List.of(), Set.of(), false);
  }

  /** Returns the same with another maximum. */
  public StopConditions withMaxTokens(int maxTokens) {
    return new StopConditions(maxTokens, strings, tokens, ignoreEos);
  }

  /** Returns the same with these texts that end a generation. */
  public StopConditions withStrings(List<String> strings) {
    return new StopConditions(maxTokens, strings, tokens, ignoreEos);
  }

  /** Returns the same with these token ids that end a generation. */
  public StopConditions withTokens(Set<Integer> tokens) {
    return new StopConditions(maxTokens, strings, tokens, ignoreEos);
  }

  /** Returns the same with the model's end-of-sequence tokens treated as ordinary ones. */
  public StopConditions ignoringEos() {
    return new StopConditions(maxTokens, strings, tokens, true);
  }
}
