package dev.lorikeet.files.peft;

import dev.lorikeet.files.Faults;
import dev.lorikeet.files.RecentlyUsed;
import dev.lorikeet.files.adapter.AdapterPlan;
import dev.lorikeet.files.safetensors.SafetensorsHeader;
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
  private final boolean dora;
  private final boolean strict;
  private final RecentlyUsed<ByteBuffer, AdapterPlan> known = new RecentlyUsed<>(KEPT);

  /** Makes plans for a base model of these sizes, or of any where they are empty. */
  public PeftPlans(Optional<ModelShape> shape) {
    this(shape, false, false);
  }

  private PeftPlans(Optional<ModelShape> shape, boolean dora, boolean strict) {
    this.shape = shape;
    this.dora = dora;
    this.strict = strict;
  }

  /**
   * Makes plans that refuse an adapter where a module that its configuration covers has no weights.
   */
  public static PeftPlans strict(Optional<ModelShape> shape) {
    return new PeftPlans(shape, false, true);
  }

  /** Makes strict plans for whoever takes magnitudes (DoRA) as well; all others refuse them. */
  public static PeftPlans withMagnitudes(Optional<ModelShape> shape) {
    return new PeftPlans(shape, true, true);
  }

  /**
   * Returns the plan of an adapter.
   *
   * @param config the content of the configuration
   * @param header the header of the weights, without its length
   * @param size the size of the weights' file in bytes
   */
  AdapterPlan plan(
      Path configFile, ByteBuffer config, Path weightsFile, ByteBuffer header, long size) {
    ByteBuffer key = key(config, header, size);
    return known
        .get(key)
        .orElseGet(
            () -> {
              PeftConfig read = PeftConfigReader.read(configFile, config, dora);
              var tensors =
                  PeftTensors.of(
                      weightsFile,
                      SafetensorsHeader.parse(Faults.ADAPTER, weightsFile, header, size),
                      shape.map(ModelShape::modules).orElse(ModuleNames.LLAMA),
                      dora);
              AdapterPlan plan = new PeftChecker(weightsFile, read, shape, strict).check(tensors);
              known.put(key, plan);
              return plan;
            });
  }

  /** Returns a digest that nobody can find two inputs for. */
  private static ByteBuffer key(ByteBuffer config, ByteBuffer header, long size) {
    MessageDigest digest;
    try {
      digest = MessageDigest.getInstance("SHA-256");
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException("every JDK has SHA-256", e);
    }
    digest.update(ByteBuffer.allocate(16).putLong(size).putLong(config.remaining()).flip());
    digest.update(config.duplicate());
    digest.update(header.duplicate());
    return ByteBuffer.wrap(digest.digest());
  }
}
