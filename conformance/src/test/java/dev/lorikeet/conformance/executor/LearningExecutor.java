package dev.lorikeet.conformance.executor;

import dev.lorikeet.executor.LoraGradients;
import dev.lorikeet.executor.Workers;
import java.util.Optional;

/** The reference with gradients, which it lends to no model under test. */
class LearningExecutor extends ReferenceExecutor {
  private final LoraGradients gradients;

  /** Makes the gradients of an executor. */
  interface MakesGradients {
    /**
     * Returns gradients on these workers.
     *
     * @param requireOpen throws if the executor is closed
     */
    LoraGradients of(Workers workers, Runnable requireOpen);
  }

  LearningExecutor(Workers workers, MakesGradients makes) {
    super(workers);
    gradients = makes.of(workers, this::requireOpen);
  }

  @Override
  public Optional<LoraGradients> gradients() {
    return Optional.of(gradients);
  }
}
