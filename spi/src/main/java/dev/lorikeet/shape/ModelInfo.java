package dev.lorikeet.shape;

import java.nio.file.Path;
import java.util.Set;

/**
 * What is known of a base model without its weights.
 *
 * <p>Make one with {@link #builder}: the canonical constructor may gain parameters.
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
    if (weightType.isEmpty() || maxPositions < 1) {
      throw new IllegalArgumentException(
          "model: expected a weight type and at least 1 position, found '"
              + weightType
              + "' and "
              + maxPositions);
    }
  }

  /** Returns a builder; weight type and longest sequence are to be set. */
  public static Builder builder(Path directory, String family, ModelShape shape) {
    return new Builder(directory, family, shape);
  }

  /** Returns a builder that has all of this. */
  public Builder toBuilder() {
    return new Builder(directory, family, shape)
        .weightType(weightType)
        .maxPositions(maxPositions)
        .eosTokens(eosTokens);
  }

  /** Builds descriptions. */
  public static final class Builder {
    private final Path directory;
    private final String family;
    private final ModelShape shape;
    private String weightType = "";
    private int maxPositions;
    private Set<Integer> eosTokens = Set.of();

    private Builder(Path directory, String family, ModelShape shape) {
      this.directory = directory;
      this.family = family;
      this.shape = shape;
    }

    /** Sets how the weights are stored. */
    public Builder weightType(String value) {
      weightType = value;
      return this;
    }

    /** Sets how long a sequence can be. */
    public Builder maxPositions(int value) {
      maxPositions = value;
      return this;
    }

    /** Sets the token ids that end a generation; none by default. */
    public Builder eosTokens(Set<Integer> value) {
      eosTokens = value;
      return this;
    }

    /** Returns the description. */
    public ModelInfo build() {
      return new ModelInfo(directory, family, shape, weightType, maxPositions, eosTokens);
    }
  }
}
