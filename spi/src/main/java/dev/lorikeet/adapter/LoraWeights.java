package dev.lorikeet.adapter;

import dev.lorikeet.shape.TargetModule;
import dev.lorikeet.tensor.Tensor;
import java.util.Optional;

/**
 * What an adapter adds to one target module: {@code y += scaling * B (A x)}.
 *
 * <p>Make one with {@link #of}: the canonical constructor may gain parameters.
 *
 * @param target the target module
 * @param a the factor A, rows spanning the input features
 * @param b the factor B transposed, rows spanning the output features; the same rank as {@code a}
 * @param scaling {@code alpha / rank}, or {@code alpha / sqrt(rank)} with rsLoRA; finite
 * @param magnitude DoRA's (arXiv 2402.09353), F32 {@code [1, outFeatures]}: the output of the
 *     module with its adapter is scaled by the magnitude divided by the norms of the rows of {@code
 *     W + scaling * B A}. Executors add the product alone; whoever has the base model's weights
 *     scales
 */
public record LoraWeights(
    TargetModule target, LoraFactor a, LoraFactor b, float scaling, Optional<Tensor> magnitude) {
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
    return new LoraWeights(target, a, b, scaling, Optional.empty());
  }

  /** Returns the same with a magnitude. */
  public LoraWeights withMagnitude(Tensor value) {
    return new LoraWeights(target, a, b, scaling, Optional.of(value));
  }

  /** Returns the rank. */
  public int rank() {
    return a.rank();
  }
}
