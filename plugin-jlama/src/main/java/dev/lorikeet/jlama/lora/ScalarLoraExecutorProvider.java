package dev.lorikeet.jlama.lora;

import dev.lorikeet.executor.ExecutorConfig;
import dev.lorikeet.executor.LoraExecutor;
import dev.lorikeet.executor.LoraExecutorProvider;
import dev.lorikeet.plugin.Availability;
import dev.lorikeet.plugin.Options;

/** The provider {@code cpu-scalar}: plain loops, works everywhere, slow. Takes no options. */
public final class ScalarLoraExecutorProvider implements LoraExecutorProvider {
  /** Called by {@link java.util.ServiceLoader}. */
  public ScalarLoraExecutorProvider() {}

  @Override
  public String name() {
    return "cpu-scalar";
  }

  @Override
  public int priority() {
    return 10;
  }

  @Override
  public Availability availability() {
    return Availability.available("plain loops on one thread");
  }

  @Override
  public LoraExecutor open(ExecutorConfig config) {
    Options.none("LoRA executor plugin 'cpu-scalar'", config.options());
    return new ScalarLoraExecutor();
  }
}
