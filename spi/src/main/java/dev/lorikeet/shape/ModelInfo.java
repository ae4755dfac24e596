package dev.lorikeet.shape;

import java.nio.file.Path;
import java.util.Set;

/**
 * What is known of a base model without its weights.
 *
 * @param directory the Hugging Face model directory
 * @param family the value of {@code model_type}, such as {@code llama}
 * @param shape the sizes
 * @param weightType how the weights are stored: {@code F32}, {@code BF16}, {@code F16} or a
 *     quantized form such as {@code Q4}
 * @param maxPositions how long a sequence can be: prompt and generated tokens together
 * @param eosTokens the token ids that end a generation
 */
public record ModelInfo(
    Path directory,
    String family,
    ModelShape shape,
    String weightType,
    int maxPositions,
    Set<Integer> eosTokens) {
  public ModelInfo {
    eosTokens = Set.copyOf(eosTokens);
  }
}
