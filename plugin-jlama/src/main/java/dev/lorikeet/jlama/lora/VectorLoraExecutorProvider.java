package dev.lorikeet.jlama.lora;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.executor.ExecutorConfig;
import dev.lorikeet.executor.LoraExecutor;
import dev.lorikeet.executor.LoraExecutorProvider;
import dev.lorikeet.plugin.Availability;
import dev.lorikeet.plugin.Options;
import java.util.Optional;

/**
 * The provider {@code cpu-vector}: the Vector API, at the width of this machine's vector unit. It
 * needs the module {@code jdk.incubator.vector}, which a JVM has only with {@code
 * --add-modules=jdk.incubator.vector}. This class names no type of that module, so that it loads
 * without it.
 *
 * <p>One option, for measurements: {@code gradient-order} is {@code rank} or {@code product}, the
 * order of the products behind the gradients of factors; by default the one with fewer
 * multiply-adds.
 */
public final class VectorLoraExecutorProvider implements LoraExecutorProvider {
  private static final String MODULE = "jdk.incubator.vector";
  private static final String GRADIENT_ORDER = "gradient-order";
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
    Options options =
        Options.of("LoRA executor plugin 'cpu-vector'", config.options(), GRADIENT_ORDER);
    return new VectorLoraExecutor(
        config.workers(),
        options.has(GRADIENT_ORDER)
            ? Optional.of(options.choice(GRADIENT_ORDER, GradientOrder.RANK))
            : Optional.empty());
  }
}
