package com.example.executor;

import dev.lorikeet.conformance.LoraExecutorConformance;
import dev.lorikeet.executor.LoraExecutor;
import dev.lorikeet.executor.LoraExecutorProvider;
import dev.lorikeet.executor.Workers;
import java.util.Optional;

/** The whole proof: one factory method, and the provider for its own three rules. */
class PlainExecutorConformanceTest extends LoraExecutorConformance {
  @Override
  protected LoraExecutor createExecutor(Workers workers) {
    return new PlainExecutor(workers);
  }

  @Override
  protected Optional<LoraExecutorProvider> provider() {
    return Optional.of(new PlainExecutorProvider());
  }
}
