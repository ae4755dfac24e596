package dev.lorikeet.conformance;

import dev.lorikeet.conformance.executor.GradientConductRules;
import dev.lorikeet.conformance.setup.TensorPlacement;
import dev.lorikeet.executor.LoraExecutor;
import dev.lorikeet.executor.LoraExecutorProvider;
import dev.lorikeet.executor.Workers;
import java.util.Optional;

/**
 * Rules X1 to X23, and T1 to T18 of what it can learn, as tests. Extend it with {@link
 * #createExecutor}; override {@link #provider} to have the provider's rules checked as well.
 */
public abstract class LoraExecutorConformance extends GradientConductRules {
  /** For subclasses. */
  protected LoraExecutorConformance() {}

  /** Opens an executor that the suite closes. */
  @Override
  protected abstract LoraExecutor createExecutor(Workers workers);

  /** Returns the provider of the executor, if the provider's rules are to be checked. */
  @Override
  protected Optional<LoraExecutorProvider> provider() {
    return Optional.empty();
  }

  /**
   * Returns how to put tensors on the executor's own device, so that rules X17 to X20 and X23 are
   * tried there too. Empty unless overridden: all tensors are in host memory.
   *
   * @param executor an executor under test, open until after the last use of what is returned
   */
  @Override
  protected Optional<TensorPlacement> placement(LoraExecutor executor) {
    return Optional.empty();
  }
}
