package dev.lorikeet.jlama.lora;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.executor.ExecutorConfig;
import dev.lorikeet.executor.LoraExecutor;
import dev.lorikeet.executor.LoraExecutorProvider;
import dev.lorikeet.plugin.Availability;
import dev.lorikeet.plugin.Options;

/**
 * The provider {@code cpu-vector}: the Vector API, at the width of this machine's vector unit. It
 * needs the module {@code jdk.incubator.vector}, which a JVM has only with {@code
 * --add-modules=jdk.incubator.vector}. Takes no options. This class names no type of that module,
 * so that it loads without it.
 */
public final class VectorLoraExecutorProvider implements LoraExecutorProvider {
  private static final String MODULE = "jdk.incubator.vector";
  private static final int NARROWEST = 4;

  /** Called by {@link java.util.ServiceLoader}. */
  public VectorLoraExecutorProvider() {}

  @Override
  public String name() {
    return "cpu-vector";
  }

  @Override
  public int priority() {
    return 50;
  }

  @Override
  public Availability availability() {
    if (ModuleLayer.boot().findModule(MODULE).isEmpty()) {
      return Availability.unavailable(
          "module " + MODULE + " is missing: start java with --add-modules=" + MODULE);
    }
    int lanes = VectorWidth.lanes();
    if (lanes < NARROWEST) {
      return Availability.unavailable(
          "vector unit: expected at least 128 bits, found " + 32 * lanes);
    }
    return Availability.available("vectors of " + 32 * lanes + " bits");
  }

  @Override
  public LoraExecutor open(ExecutorConfig config) {
    if (availability() instanceof Availability.Unavailable(String reason)) {
      throw new LorikeetException(
          LorikeetException.Code.PLUGIN_UNAVAILABLE, name() + ": " + reason);
    }
    Options.none("LoRA executor plugin 'cpu-vector'", config.options());
    return new VectorLoraExecutor(config.workers());
  }
}
