package dev.lorikeet.model;

import java.util.List;

/**
 * A finished generation.
 *
 * <p>Make one with {@link #of}: the canonical constructor may gain parameters.
 *
 * @param text the generated text, without special tokens and without a stop string
 * @param tokens the ids drawn, an ending end-of-sequence or stop token included
 * @param logProbabilities for each of them the natural logarithm of its probability under the
 *     model, before temperature and filters
 * @param finishReason why it ended
 * @param usage what it took
 */
public record GenerationResult(
    String text,
    List<Integer> tokens,
    List<Float> logProbabilities,
    FinishReason finishReason,
    Usage usage) {
  public GenerationResult {
    tokens = List.copyOf(tokens);
    logProbabilities = List.copyOf(logProbabilities);
    if (logProbabilities.size() != tokens.size()) {
      throw new IllegalArgumentException(
          "logProbabilities: expected " + tokens.size() + ", found " + logProbabilities.size());
    }
  }

  /** Returns the result of a generation. */
  public static GenerationResult of(
      String text,
      List<Integer> tokens,
      List<Float> logProbabilities,
      FinishReason finishReason,
      Usage usage) {
    return new GenerationResult(text, tokens, logProbabilities, finishReason, usage);
  }
}
