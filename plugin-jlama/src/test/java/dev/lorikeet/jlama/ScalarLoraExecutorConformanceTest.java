package dev.lorikeet.jlama;

import dev.lorikeet.conformance.LoraExecutorConformance;
import dev.lorikeet.executor.ExecutorConfig;
import dev.lorikeet.executor.LoraExecutor;
import dev.lorikeet.executor.LoraExecutorProvider;
import dev.lorikeet.executor.Workers;
import dev.lorikeet.jlama.lora.ScalarLoraExecutorProvider;
import java.util.Optional;

class ScalarLoraExecutorConformanceTest extends LoraExecutorConformance {
  @Override
  protected LoraExecutor createExecutor(Workers workers) {
    return new ScalarLoraExecutorProvider().open(ExecutorConfig.of(workers));
  }

  @Override
  protected Optional<LoraExecutorProvider> provider() {
    return Optional.of(new ScalarLoraExecutorProvider());
  }
}
