package dev.lorikeet.files.model;

import java.util.Arrays;
import java.util.Optional;
import java.util.stream.Collectors;

/**
 * The model families that the decoder computes, by the {@code model_type} of their {@code
 * config.json}.
 */
public enum ModelFamily {
  /**
   * Llama 1 to 3 and what shares their architecture; biases on attention and MLP where the
   * configuration says so.
   */
  LLAMA("llama"),
  /** Mistral 7B and its kin; may attend through a sliding window. */
  MISTRAL("mistral"),
  /** Qwen2 and Qwen2.5; biases on q, k and v. */
  QWEN2("qwen2");

  private final String modelType;

  ModelFamily(String modelType) {
    this.modelType = modelType;
  }

  /** Returns the value of {@code model_type}. */
  public String modelType() {
    return modelType;
  }

  static Optional<ModelFamily> of(String modelType) {
    return Arrays.stream(values()).filter(family -> family.modelType.equals(modelType)).findFirst();
  }

  static String supported() {
    return Arrays.stream(values()).map(ModelFamily::modelType).collect(Collectors.joining(", "));
  }
}
