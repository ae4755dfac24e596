package dev.lorikeet.adapter;

import dev.lorikeet.shape.TargetModule;
import dev.lorikeet.tensor.ElementType;

/**
 * What is known of one target module of an adapter without its weights.
 *
 * <p>Make one with {@link #builder}: the canonical constructor may gain parameters.
 *
 * @param target the target module
 * @param rank the rank
 * @param inFeatures width of A
 * @param outFeatures width of B
 * @param scaling {@code alpha / rank}, or {@code alpha / sqrt(rank)} with rsLoRA
 * @param aBlocks number of diagonal blocks of A, 1 if dense
 * @param bBlocks number of diagonal blocks of B, 1 if dense
 * @param type the element type of both factors
 * @param magnitude whether a magnitude belongs to it (DoRA), {@code outFeatures} elements in F32
 */
public record TargetSpec(
    TargetModule target,
    int rank,
    int inFeatures,
    int outFeatures,
    float scaling,
    int aBlocks,
    int bBlocks,
    ElementType type,
    boolean magnitude) {

  /**
   * Returns the size in bytes of a row of A as {@link LoraFactor} has it: the {@code inFeatures /
   * aBlocks} elements of its diagonal block.
   *
   * @throws ArithmeticException if that does not fit into an {@code int}
   */
  public int aRowBytes() {
    return Math.multiplyExact(inFeatures / aBlocks, type.bytes());
  }

  /**
   * Returns the size in bytes of a row of B as {@link LoraFactor} has it, {@code [rank, out]}: the
   * {@code outFeatures / bBlocks} elements of its diagonal block.
   *
   * @throws ArithmeticException if that does not fit into an {@code int}
   */
  public int bRowBytes() {
    return Math.multiplyExact(outFeatures / bBlocks, type.bytes());
  }

  /** Returns how many elements both factors store, and the magnitude. */
  public long parameters() {
    return ofFactors() + (magnitude ? outFeatures : 0);
  }

  /** Returns how many bytes both factors take, and the magnitude. */
  public long bytes() {
    return ofFactors() * type.bytes() + (magnitude ? (long) outFeatures * Float.BYTES : 0);
  }

  private long ofFactors() {
    return (long) rank * ((long) inFeatures / aBlocks + outFeatures / bBlocks);
  }

  /** Returns a builder that has all of this. */
  public Builder toBuilder() {
    return builder(target)
        .rank(rank)
        .inFeatures(inFeatures)
        .outFeatures(outFeatures)
        .scaling(scaling)
        .aBlocks(aBlocks)
        .bBlocks(bBlocks)
        .type(type)
        .magnitude(magnitude);
  }

  /** Returns a builder; rank, widths and scaling are to be set. */
  public static Builder builder(TargetModule target) {
    return new Builder(target);
  }

  /** Builds descriptions. */
  public static final class Builder {
    private final TargetModule target;
    private int rank;
    private int inFeatures;
    private int outFeatures;
    private float scaling;
    private int aBlocks = 1;
    private int bBlocks = 1;
    private ElementType type = ElementType.F32;
    private boolean magnitude;

    private Builder(TargetModule target) {
      this.target = target;
    }

    /** Sets the rank. */
    public Builder rank(int value) {
      rank = value;
      return this;
    }

    /** Sets the width of A. */
    public Builder inFeatures(int value) {
      inFeatures = value;
      return this;
    }

    /** Sets the width of B. */
    public Builder outFeatures(int value) {
      outFeatures = value;
      return this;
    }

    /** Sets the factor of the product. */
    public Builder scaling(float value) {
      scaling = value;
      return this;
    }

    /** Sets the number of diagonal blocks of A; 1 by default. */
    public Builder aBlocks(int value) {
      aBlocks = value;
      return this;
    }

    /** Sets the number of diagonal blocks of B; 1 by default. */
    public Builder bBlocks(int value) {
      bBlocks = value;
      return this;
    }

    /** Sets the element type of both factors; F32 by default. */
    public Builder type(ElementType value) {
      type = value;
      return this;
    }

    /** Sets whether a magnitude belongs to it; false by default. */
    public Builder magnitude(boolean value) {
      magnitude = value;
      return this;
    }

    /** Returns the description. */
    public TargetSpec build() {
      return new TargetSpec(
          target, rank, inFeatures, outFeatures, scaling, aBlocks, bBlocks, type, magnitude);
    }
  }
}
