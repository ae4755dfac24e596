package dev.lorikeet.adapter;

import dev.lorikeet.shape.TargetModule;

/**
 * What an adapter adds to one target module: {@code y += scaling * B (A x)}.
 *
 * <p>Make one with {@link #of}: the canonical constructor may gain parameters.
 *
 * @param target the target module
 * @param a the factor A, rows spanning the input features
 * @param b the factor B transposed, rows spanning the output features; the same rank as {@code a}
 * @param scaling {@code alpha / rank}, or {@code alpha / sqrt(rank)} with rsLoRA; finite
 */
public record LoraWeights(TargetModule target, LoraFactor a, LoraFactor b, float scaling) {
  public LoraWeights {
    if (a.rank() != b.rank()) {
      throw new IllegalArgumentException(
          target + ": expected A and B of one rank, found " + a.rank() + " and " + b.rank());
    }
    if (!Float.isFinite(scaling)) {
      throw new IllegalArgumentException(target + ": expected a finite scaling, found " + scaling);
    }
  }

  /** Returns the weights for a target module. */
  public static LoraWeights of(TargetModule target, LoraFactor a, LoraFactor b, float scaling) {
    return new LoraWeights(target, a, b, scaling);
  }

  /** Returns the rank. */
  public int rank() {
    return a.rank();
  }
}
