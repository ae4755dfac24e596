package dev.lorikeet.training.stage;

import dev.lorikeet.adapter.AdapterLease;
import dev.lorikeet.executor.FactorGradients;
import dev.lorikeet.shape.TargetModule;
import dev.lorikeet.tensor.Tensor;
import java.util.Optional;

/**
 * Where a backward adds the gradients of what learns; whoever holds the sums sets them to zero.
 *
 * <p>Make one with {@link #of}: the canonical constructor may gain parameters.
 *
 * @param factors of the factors of adapters
 * @param magnitudes of the magnitudes of adapters
 * @param weights of the weights of the entries of the batch of adapters, summed over all layers of
 *     the stage, F32 {@code [>= entries, 1]}; empty if mixtures do not learn
 */
public record LearnedGradients(
    FactorGradients factors, MagnitudeGradients magnitudes, Optional<Tensor> weights) {
  /** Where the gradients of magnitudes are added. */
  public interface MagnitudeGradients {
    /**
     * Returns the sums for a module of an adapter, F32 {@code [1, outFeatures]}; empty for none.
     */
    Optional<Tensor> sums(AdapterLease adapter, TargetModule target);
  }

  /** Returns the gradients of factors alone. */
  public static LearnedGradients of(FactorGradients factors) {
    return new LearnedGradients(factors, (adapter, target) -> Optional.empty(), Optional.empty());
  }

  /** Returns the same with the gradients of magnitudes. */
  public LearnedGradients withMagnitudes(MagnitudeGradients sums) {
    return new LearnedGradients(factors, sums, weights);
  }

  /** Returns the same with the gradients of the weights of mixtures. */
  public LearnedGradients withWeights(Tensor sums) {
    return new LearnedGradients(factors, magnitudes, Optional.of(sums));
  }
}
