package dev.lorikeet.jlama.kernel;

import java.lang.System.Logger;
import java.lang.System.Logger.Level;

/**
 * The kernels for this machine, chosen once: on the Vector API if its module is present and the
 * vector unit has at least 128 bits, scalar otherwise or when the system property {@value
 * #FORCE_SCALAR} is {@code true}. The choice and its reason are logged.
 *
 * @param matMul matrix products
 * @param elementwise norms, activations and the like
 * @param attention attention over a paged KV cache
 * @param training what fine-tuning needs beside
 * @param description which kernels these are, and why, in one line
 */
public record Kernels(
    MatMul matMul,
    Elementwise elementwise,
    PagedAttention attention,
    TrainingKernels training,
    String description) {
  /** System property that forces the scalar kernels. */
  public static final String FORCE_SCALAR = "lorikeet.kernels.scalar";

  private static final Logger LOGGER = System.getLogger(Kernels.class.getName());

  /** Returns the kernels for this machine. */
  public static Kernels get() {
    return Holder.CHOSEN;
  }

  /** Returns whether these are the kernels on the Vector API. */
  public boolean onVectorApi() {
    return matMul instanceof VectorMatMul;
  }

  static Kernels scalar(String reason) {
    return new Kernels(
        new ScalarMatMul(),
        new ScalarElementwise(),
        new ScalarPagedAttention(),
        TrainingKernels.scalar(),
        "scalar kernels: " + reason);
  }

  private static Kernels choose() {
    Kernels chosen;
    Level level = Level.INFO;
    if (Boolean.getBoolean(FORCE_SCALAR)) {
      chosen = scalar("system property " + FORCE_SCALAR + " is set");
    } else if (ModuleLayer.boot().findModule("jdk.incubator.vector").isEmpty()) {
      level = Level.WARNING; // it works, but slowly
      chosen =
          scalar(
              "module jdk.incubator.vector is missing; run with --add-modules=jdk.incubator.vector");
    } else {
      chosen = vector();
    }
    LOGGER.log(level, chosen.description());
    return chosen;
  }

  private static Kernels vector() {
    if (Lanes.L < 4) {
      return scalar("vectors of " + Lanes.L + " floats are too short");
    }
    return new Kernels(
        new VectorMatMul(),
        new VectorElementwise(),
        new VectorPagedAttention(),
        TrainingKernels.vector(),
        "Vector API kernels with " + Lanes.L * Float.SIZE + "-bit vectors");
  }

  private static final class Holder {
    static final Kernels CHOSEN = choose();
  }
}
