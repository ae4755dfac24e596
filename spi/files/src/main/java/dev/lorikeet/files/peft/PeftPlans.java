package dev.lorikeet.files.peft;

import dev.lorikeet.files.RecentlyUsed;
import dev.lorikeet.files.adapter.AdapterPlan;
import dev.lorikeet.shape.ModelShape;
import dev.lorikeet.shape.ModuleNames;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Optional;

/**
 * Makes plans of adapters for one base model. Adapters trained alike have the same configuration
 * and header, byte for byte; their plan is made once. Thread-safe.
 */
public final class PeftPlans {
  private static final int KEPT = 256;

  private final Optional<ModelShape> shape;
  private final boolean strict;
  private final RecentlyUsed<ByteBuffer, AdapterPlan> known = new RecentlyUsed<>(KEPT);

  /** Makes plans for a base model of these sizes, or of any where they are empty. */
  public PeftPlans(Optional<ModelShape> shape) {
    this(shape, false);
  }

  private PeftPlans(Optional<ModelShape> shape, boolean strict) {
    this.shape = shape;
    this.strict = strict;
  }

  /**
   * Makes plans that refuse an adapter where a module that its configuration covers has no weights.
   */
  public static PeftPlans strict(Optional<ModelShape> shape) {
    return new PeftPlans(shape, true);
  }

  /**
   * Returns the plan of an adapter.
   *
   * @param config the content of the configuration
   * @param weights the open files of its weights
   * @param mlx whether they are MLX's
   */
  AdapterPlan plan(Path configFile, ByteBuffer config, WeightShards weights, boolean mlx) {
    ByteBuffer key = key(config, weights, mlx);
    return known
        .get(key)
        .orElseGet(
            () -> {
              Path file = weights.path();
              ModuleNames modules = shape.map(ModelShape::modules).orElse(ModuleNames.LLAMA);
              AdapterPlan plan;
              if (mlx) {
                plan =
                    new MlxChecker(configFile, file, shape)
                        .check(config, PeftTensors.of(file, weights.header(), modules));
              } else {
                PeftConfig read = PeftConfigReader.read(configFile, config);
                plan =
                    new PeftChecker(file, read, shape, strict)
                        .check(PeftTensors.of(file, weights.header(), modules));
              }
              known.put(key, plan);
              return plan;
            });
  }

  /** Returns a digest that nobody can find two inputs for. */
  private static ByteBuffer key(ByteBuffer config, WeightShards weights, boolean mlx) {
    MessageDigest digest;
    try {
      digest = MessageDigest.getInstance("SHA-256");
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException("every JDK has SHA-256", e);
    }
    digest.update((byte) (mlx ? 1 : 0));
    digest.update(
        ByteBuffer.allocate(16).putLong(weights.size()).putLong(config.remaining()).flip());
    digest.update(config.duplicate());
    for (ByteBuffer header : weights.headers()) {
      digest.update(ByteBuffer.allocate(8).putLong(header.remaining()).flip());
      digest.update(header);
    }
    return ByteBuffer.wrap(digest.digest());
  }
}
