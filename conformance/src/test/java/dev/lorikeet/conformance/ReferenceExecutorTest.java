package dev.lorikeet.conformance;

import dev.lorikeet.executor.LoraExecutor;
import dev.lorikeet.executor.Workers;

class ReferenceExecutorTest extends LoraExecutorConformance {
  @Override
  protected LoraExecutor createExecutor(Workers workers) {
    return new ReferenceExecutor(workers);
  }
}
