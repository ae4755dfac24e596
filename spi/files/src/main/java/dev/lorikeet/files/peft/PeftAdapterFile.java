package dev.lorikeet.files.peft;

import com.fasterxml.jackson.databind.JsonNode;
import dev.lorikeet.adapter.AdapterText;
import dev.lorikeet.adapter.TargetSpec;
import dev.lorikeet.files.Faults;
import dev.lorikeet.files.JsonFile;
import dev.lorikeet.files.adapter.AdapterFile;
import dev.lorikeet.files.adapter.AdapterPlan;
import dev.lorikeet.files.adapter.FactorReader;
import dev.lorikeet.files.adapter.FileStamp;
import dev.lorikeet.files.adapter.WeightSink;
import dev.lorikeet.files.safetensors.SafetensorsHeader;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
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

  static final String PICKLE = "adapter_model.bin";

  private final AdapterFolder folder;
  private final Path path;
  private final FileChannel channel;
  private final FileStamp stamp;
  private final AdapterPlan plan;
  private final Path configFile;
  private final ByteBuffer config;

  private PeftAdapterFile(
      AdapterFolder folder,
      Path path,
      FileChannel channel,
      FileStamp stamp,
      AdapterPlan plan,
      Path configFile,
      ByteBuffer config) {
    this.folder = folder;
    this.configFile = configFile;
    this.config = config;
    this.path = path;
    this.channel = channel;
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
    if (!folder.has(WEIGHTS) && folder.has(PICKLE)) {
      throw Faults.ADAPTER.refuseUnsupported(
          folder.path(PICKLE), "pickle files can run code and are never read; expected " + WEIGHTS);
    }
    Path weights = folder.path(WEIGHTS);
    FileChannel channel = folder.open(WEIGHTS);
    try {
      ByteBuffer header = SafetensorsHeader.readBytes(Faults.ADAPTER, weights, channel);
      AdapterPlan plan =
          plans.plan(configFile, config.duplicate(), weights, header, channel.size());
      return new PeftAdapterFile(
          folder, weights, channel, folder.stamp(WEIGHTS), plan, configFile, config);
    } catch (IOException | RuntimeException | Error e) {
      channel.close();
      throw e;
    }
  }

  @Override
  public Path path() {
    return path;
  }

  @Override
  public List<TargetSpec> targets() {
    return plan.targets();
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
            .path("base_model_name_or_path");
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
    return new FactorReader(path, channel, WeightSink.Factor.B_BY_OUTPUT).read(plan.placed(), sink);
  }

  @Override
  public void close() throws IOException {
    channel.close();
  }
}
