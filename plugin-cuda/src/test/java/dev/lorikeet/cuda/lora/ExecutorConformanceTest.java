package dev.lorikeet.cuda.lora;

import dev.lorikeet.conformance.LoraExecutorConformance;
import dev.lorikeet.conformance.setup.TensorPlacement;
import dev.lorikeet.cuda.emulation.EmulatedDriver;
import dev.lorikeet.executor.ExecutorConfig;
import dev.lorikeet.executor.LoraExecutor;
import dev.lorikeet.executor.LoraExecutorProvider;
import dev.lorikeet.executor.Workers;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.BeforeAll;

/** The rules for executors: on the kernels' own sources compiled for a CPU, or on a GPU. */
class ExecutorConformanceTest extends LoraExecutorConformance {
  @BeforeAll
  static void emulate() {
    EmulatedDriver.install();
  }

  @Override
  protected LoraExecutor createExecutor(Workers workers) {
    return new CudaLoraExecutorProvider()
        .open(ExecutorConfig.of(workers).withOptions(Map.of("memory-mib", "16")));
  }

  @Override
  protected Optional<TensorPlacement> placement(LoraExecutor executor) {
    return Optional.of(new DevicePlacement((CudaLoraExecutor) executor));
  }

  @Override
  protected Optional<LoraExecutorProvider> provider() {
    return Optional.of(new CudaLoraExecutorProvider());
  }
}
