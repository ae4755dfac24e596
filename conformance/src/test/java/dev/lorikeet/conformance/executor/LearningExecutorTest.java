package dev.lorikeet.conformance.executor;

import dev.lorikeet.conformance.LoraExecutorConformance;
import dev.lorikeet.executor.LoraExecutor;
import dev.lorikeet.executor.Workers;

class LearningExecutorTest extends LoraExecutorConformance {
  @Override
  protected LoraExecutor createExecutor(Workers workers) {
    return new LearningExecutor(workers, ReferenceGradients::new);
  }
}
