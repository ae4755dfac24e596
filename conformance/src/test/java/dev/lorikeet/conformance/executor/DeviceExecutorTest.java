package dev.lorikeet.conformance.executor;

import dev.lorikeet.conformance.LoraExecutorConformance;
import dev.lorikeet.conformance.setup.TensorPlacement;
import dev.lorikeet.executor.LoraExecutor;
import dev.lorikeet.executor.Workers;
import java.util.Optional;

class DeviceExecutorTest extends LoraExecutorConformance {
  @Override
  protected LoraExecutor createExecutor(Workers workers) {
    return new DeviceExecutor(workers);
  }

  @Override
  protected Optional<TensorPlacement> placement(LoraExecutor executor) {
    return Optional.of(DeviceExecutor.PLACEMENT);
  }
}
