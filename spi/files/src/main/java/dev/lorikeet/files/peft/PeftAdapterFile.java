package dev.lorikeet.files.peft;

import com.fasterxml.jackson.databind.JsonNode;
import dev.lorikeet.adapter.AdapterText;
import dev.lorikeet.adapter.PartSpec;
import dev.lorikeet.adapter.TargetSpec;
import dev.lorikeet.files.Faults;
import dev.lorikeet.files.JsonFile;
import dev.lorikeet.files.adapter.AdapterFile;
import dev.lorikeet.files.adapter.AdapterPlan;
import dev.lorikeet.files.adapter.FactorReader;
import dev.lorikeet.files.adapter.FileStamp;
import dev.lorikeet.files.adapter.WeightSink;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;

/**
 * A PEFT adapter directory, checked against the base model's sizes: configuration and tensors say
 * the same, and nothing is there that is not understood.
 */
public final class PeftAdapterFile implements AdapterFile {
  /** The name of the file that describes the adapter. */
  public static final String CONFIG = "adapter_config.json";

  /** The name of the file that holds its weights. */
  public static final String WEIGHTS = "adapter_model.safetensors";

  /** The name of the file that MLX writes weights to. */
  private static final String MLX_WEIGHTS = "adapters.safetensors";

  private static final String INDEX = WEIGHTS + ".index.json";
  private static final String PICKLE = "adapter_model.bin";

  private final AdapterFolder folder;
  private final WeightShards weights;
  private final boolean mlx;
  private final FileStamp stamp;
  private final AdapterPlan plan;
  private final Path configFile;
  private final ByteBuffer config;

  private PeftAdapterFile(
      AdapterFolder folder,
      WeightShards weights,
      boolean mlx,
      FileStamp stamp,
      AdapterPlan plan,
      Path configFile,
      ByteBuffer config) {
    this.folder = folder;
    this.configFile = configFile;
    this.config = config;
    this.weights = weights;
    this.mlx = mlx;
    this.stamp = stamp;
    this.plan = plan;
  }

  /** Opens a directory whose links lead nowhere but into Hugging Face's cache. */
  public static PeftAdapterFile open(Path directory, PeftPlans plans) throws IOException {
    return open(directory, plans, TrustedLinks.ofEnvironment());
  }

  /**
   * Opens a directory and checks everything but the values of the weights.
   *
   * @param trusted where links out of it may lead
   */
  public static PeftAdapterFile open(Path directory, PeftPlans plans, TrustedLinks trusted)
      throws IOException {
    AdapterFolder folder = AdapterFolder.of(directory, trusted);
    Path configFile = folder.path(CONFIG);
    ByteBuffer config = folder.read(CONFIG, PeftConfigReader.MAX_CONFIG_BYTES);
    boolean mlx = false;
    List<String> names = List.of(WEIGHTS);
    if (!folder.has(WEIGHTS)) {
      if (folder.has(INDEX)) {
        names = WeightShards.listed(folder, INDEX);
      } else if (folder.has(MLX_WEIGHTS)) {
        names = List.of(MLX_WEIGHTS);
        mlx = true;
      } else if (folder.has(PICKLE)) {
        throw Faults.ADAPTER.refuseUnsupported(
            folder.path(PICKLE),
            "pickle files can run code and are never read; expected "
                + WEIGHTS
                + ", which PEFT writes: python -c \"from peft import AutoPeftModelForCausalLM as M;"
                + " M.from_pretrained('DIR').save_pretrained('DIR')\"");
      }
    }
    WeightShards weights = WeightShards.open(folder, names);
    try {
      AdapterPlan plan = plans.plan(configFile, config.duplicate(), weights, mlx);
      return new PeftAdapterFile(
          folder, weights, mlx, weights.stamp(folder), plan, configFile, config);
    } catch (IOException | RuntimeException | Error e) {
      weights.close();
      throw e;
    }
  }

  /** Returns whether PEFT's files were found, and not others that are read in their place. */
  public boolean isPeft() {
    return !mlx;
  }

  @Override
  public Path path() {
    return weights.path();
  }

  @Override
  public List<TargetSpec> targets() {
    return plan.targets();
  }

  @Override
  public List<PartSpec> parts() {
    return plan.parts();
  }

  @Override
  public FileStamp stamp() {
    return stamp;
  }

  @Override
  public Optional<String> baseModel() {
    JsonNode name =
        JsonFile.parse(Faults.ADAPTER, configFile.toString(), config.duplicate())
            .root()
            .path(mlx ? "model" : "base_model_name_or_path");
    return name.isTextual() && !name.textValue().isEmpty()
        ? Optional.of(Faults.show(name.textValue()))
        : Optional.empty();
  }

  @Override
  public Optional<AdapterText> text(int rows) {
    return new PeftTextReader(folder).read(rows);
  }

  @Override
  public long read(WeightSink sink) throws IOException {
    FactorReader reader =
        mlx
            ? new FactorReader(weights, WeightSink.Factor.A_BY_INPUT, WeightSink.Factor.B_BY_ROW)
            : new FactorReader(weights, WeightSink.Factor.A, WeightSink.Factor.B_BY_OUTPUT);
    return reader.read(plan, sink);
  }

  @Override
  public void close() throws IOException {
    weights.close();
  }
}
