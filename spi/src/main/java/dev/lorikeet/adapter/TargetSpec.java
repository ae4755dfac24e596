package dev.lorikeet.adapter;

import dev.lorikeet.shape.TargetModule;
import dev.lorikeet.tensor.ElementType;

/**
 * What is known of one target module of an adapter without its weights.
 *
 * @param target the target module
 * @param rank the rank
 * @param inFeatures width of A
 * @param outFeatures width of B
 * @param scaling {@code alpha / rank}, or {@code alpha / sqrt(rank)} with rsLoRA
 * @param aBlocks number of diagonal blocks of A, 1 if dense
 * @param bBlocks number of diagonal blocks of B, 1 if dense
 * @param type the element type of both factors
 */
public record TargetSpec(
    TargetModule target,
    int rank,
    int inFeatures,
    int outFeatures,
    float scaling,
    int aBlocks,
    int bBlocks,
    ElementType type) {

  /** Returns how many elements both factors store. */
  public long parameters() {
    return (long) rank * (inFeatures / aBlocks + outFeatures / bBlocks);
  }

  /** Returns how many bytes both factors take. */
  public long bytes() {
    return parameters() * type.bytes();
  }
}
