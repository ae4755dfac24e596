package dev.lorikeet.training.stage;

import dev.lorikeet.executor.FactorGradients;
import dev.lorikeet.tensor.Tensor;
import java.util.Optional;

/**
 * Where a backward adds the gradients of what learns; whoever holds the sums sets them to zero.
 *
 * <p>Make one with {@link #of}: the canonical constructor may gain parameters.
 *
 * @param factors of the factors of adapters
 * @param weights of the weights of the entries of the batch of adapters, summed over all layers of
 *     the stage, F32 {@code [>= entries, 1]}; empty if mixtures do not learn
 */
public record LearnedGradients(FactorGradients factors, Optional<Tensor> weights) {
  /** Returns the gradients of factors alone. */
  public static LearnedGradients of(FactorGradients factors) {
    return new LearnedGradients(factors, Optional.empty());
  }

  /** Returns the same with the gradients of the weights of mixtures. */
  public LearnedGradients withWeights(Tensor sums) {
    return new LearnedGradients(factors, Optional.of(sums));
  }
}
