package dev.lorikeet.executor;

import dev.lorikeet.tensor.Tensor;
import java.util.Optional;

/**
 * What one call of {@link LoraGradients#addGradients} adds to. The caller owns all memory, keeps it
 * alive while the call runs, and may read it when the call has returned.
 *
 * <p>Make one with {@link #of}: the canonical constructor may gain parameters.
 *
 * @param dx the gradient of the group's input, {@code [>= batch.tokens(), in]}, or empty where
 *     nobody below needs it
 * @param factors the gradients of the adapters' factors; {@link FactorGradients#FROZEN} for none
 * @param weights the gradient of the weight of each entry, {@code [>= batch.entries(), 1]} by the
 *     numbers of the entries, or empty if weights are not trained
 */
public record GradientSums(Optional<Tensor> dx, FactorGradients factors, Optional<Tensor> weights) {
  /** Returns sums for dx and the factors alone. */
  public static GradientSums of(Tensor dx, FactorGradients factors) {
    return new GradientSums(Optional.of(dx), factors, Optional.empty());
  }

  /** Returns the same without dx: for the lowest layer that learns. */
  public GradientSums withoutInput() {
    return new GradientSums(Optional.empty(), factors, weights);
  }

  /** Returns the same with the gradients of the entries' weights added to this tensor. */
  public GradientSums withWeights(Tensor weights) {
    return new GradientSums(dx, factors, Optional.of(weights));
  }
}
