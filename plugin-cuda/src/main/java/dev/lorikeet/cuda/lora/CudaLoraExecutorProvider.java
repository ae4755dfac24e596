package dev.lorikeet.cuda.lora;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.cuda.driver.CudaDevice;
import dev.lorikeet.executor.ExecutorConfig;
import dev.lorikeet.executor.LoraExecutor;
import dev.lorikeet.executor.LoraExecutorProvider;
import dev.lorikeet.plugin.Availability;

/**
 * Opens the LoRA executor for NVIDIA GPUs, under the name {@code cuda}. Available where an NVIDIA
 * driver for CUDA 13.0 or later lists a device of compute capability 8.0 or later.
 */
public final class CudaLoraExecutorProvider implements LoraExecutorProvider {
  /** Creates the provider. */
  public CudaLoraExecutorProvider() {}

  @Override
  public String name() {
    return "cuda";
  }

  @Override
  public int priority() {
    return 80;
  }

  @Override
  public Availability availability() {
    CudaDevice.Probe probe = CudaDevice.probe();
    return probe.devices().isEmpty()
        ? Availability.unavailable(probe.reason())
        : Availability.available(probe.devices().getFirst().toString());
  }

  @Override
  public LoraExecutor open(ExecutorConfig config) {
    CudaOptions options = CudaOptions.parse(config.options());
    CudaDevice.Probe probe = CudaDevice.probe();
    if (probe.devices().isEmpty()) {
      throw new LorikeetException(Code.PLUGIN_UNAVAILABLE, "cuda: " + probe.reason());
    }
    if (options.device() >= probe.devices().size()) {
      throw new IllegalArgumentException(
          CudaOptions.OWNER
              + ": option 'device': expected a whole number below "
              + probe.devices().size()
              + ", found '"
              + options.device()
              + "'");
    }
    return CudaLoraExecutor.open(probe.devices().get(options.device()), options);
  }
}
