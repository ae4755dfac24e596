package dev.lorikeet.arrow;

import com.fasterxml.jackson.databind.JsonNode;
import dev.lorikeet.adapter.TargetSpec;
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
final class PeftAdapterFile implements AdapterFile {
  static final String CONFIG = "adapter_config.json";
  static final String WEIGHTS = "adapter_model.safetensors";
  static final String PICKLE = "adapter_model.bin";

  private final Path path;
  private final FileChannel channel;
  private final FileStamp stamp;
  private final PeftPlan plan;
  private final Path configFile;
  private final ByteBuffer config;

  private PeftAdapterFile(
      Path path,
      FileChannel channel,
      FileStamp stamp,
      PeftPlan plan,
      Path configFile,
      ByteBuffer config) {
    this.configFile = configFile;
    this.config = config;
    this.path = path;
    this.channel = channel;
    this.stamp = stamp;
    this.plan = plan;
  }

  /** Opens a directory and checks everything but the values of the weights. */
  static PeftAdapterFile open(Path directory, PeftPlans plans) throws IOException {
    AdapterFolder folder = AdapterFolder.of(directory);
    Path configFile = folder.path(CONFIG);
    ByteBuffer config = folder.read(CONFIG, PeftConfigReader.MAX_CONFIG_BYTES);
    if (!folder.has(WEIGHTS) && folder.has(PICKLE)) {
      throw Refusal.unsupported(
          folder.path(PICKLE), "pickle files can run code and are never read; expected " + WEIGHTS);
    }
    Path weights = folder.path(WEIGHTS);
    FileChannel channel = folder.open(WEIGHTS);
    try {
      ByteBuffer header = SafetensorsHeader.readBytes(weights, channel);
      PeftPlan plan = plans.plan(configFile, config.duplicate(), weights, header, channel.size());
      return new PeftAdapterFile(weights, channel, folder.stamp(WEIGHTS), plan, configFile, config);
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
        StrictJson.object(configFile, "adapter configuration", config.duplicate())
            .path("base_model_name_or_path");
    return name.isTextual() && !name.textValue().isEmpty()
        ? Optional.of(Refusal.show(name.textValue()))
        : Optional.empty();
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
