package dev.lorikeet.arrow;

import dev.lorikeet.adapter.TargetSpec;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.util.List;
import java.util.zip.CRC32C;

/**
 * A PEFT adapter directory, checked against the base model's sizes: configuration and tensors say
 * the same, and nothing is there that is not understood.
 */
final class PeftAdapterFile implements AdapterFile {
  /*
   * Idea: weights are read with positional reads into a small buffer instead of being mapped: a
   * mapped file that another process truncates kills the JVM's access with a fault, a read just
   * ends early. The buffer stays in the second-level cache, so the copy into pages costs little
   * more than the read itself.
   * Cost: one pass over the file, CRC-32C included, which the CPU computes faster than memory
   * delivers.
   */
  static final String CONFIG = "adapter_config.json";
  static final String WEIGHTS = "adapter_model.safetensors";
  static final String PICKLE = "adapter_model.bin";
  private static final int CHUNK_BYTES = 256 << 10;

  private final Path path;
  private final FileChannel channel;
  private final FileStamp stamp;
  private final PeftPlan plan;

  private PeftAdapterFile(Path path, FileChannel channel, FileStamp stamp, PeftPlan plan) {
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
      PeftPlan plan = plans.plan(configFile, config, weights, header, channel.size());
      return new PeftAdapterFile(weights, channel, folder.stamp(WEIGHTS), plan);
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
  public long read(WeightSink sink) throws IOException {
    long digest = plan.targets().hashCode();
    try (Arena arena = Arena.ofConfined()) {
      int longest =
          plan.targets().stream().mapToInt(PeftAdapterFile::longestLine).max().orElseThrow();
      MemorySegment chunk = arena.allocate(Math.max(CHUNK_BYTES, longest), 64);
      for (int t = 0; t < plan.placed().size(); t++) {
        PeftPlan.Placed at = plan.placed().get(t);
        TargetSpec spec = at.spec();
        digest =
            31 * digest
                + read(
                    sink,
                    t,
                    spec,
                    WeightSink.Factor.A,
                    at.aBegin(),
                    spec.rank(),
                    aLine(spec),
                    chunk);
        digest =
            31 * digest
                + read(
                    sink,
                    t,
                    spec,
                    WeightSink.Factor.B_BY_OUTPUT,
                    at.bBegin(),
                    spec.outFeatures(),
                    bLine(spec),
                    chunk);
      }
    }
    return digest;
  }

  private static int aLine(TargetSpec spec) {
    return spec.inFeatures() / spec.aBlocks() * spec.type().bytes();
  }

  private static int bLine(TargetSpec spec) {
    return spec.rank() / spec.bBlocks() * spec.type().bytes();
  }

  private static int longestLine(TargetSpec spec) {
    return Math.max(aLine(spec), bLine(spec));
  }

  private long read(
      WeightSink sink,
      int target,
      TargetSpec spec,
      WeightSink.Factor factor,
      long begin,
      int lines,
      int lineBytes,
      MemorySegment chunk)
      throws IOException {
    CRC32C crc = new CRC32C();
    int most = (int) (chunk.byteSize() / lineBytes);
    for (int line = 0; line < lines; line += most) {
      int count = Math.min(most, lines - line);
      MemorySegment data = chunk.asSlice(0, (long) count * lineBytes);
      ByteBuffer buffer = data.asByteBuffer();
      AdapterFolder.readFully(path, channel, buffer, begin + (long) line * lineBytes);
      crc.update(buffer.flip());
      sink.accept(target, spec, factor, line, count, data);
    }
    return crc.getValue();
  }

  @Override
  public void close() throws IOException {
    channel.close();
  }
}
