package dev.lorikeet.arrow;

import dev.lorikeet.adapter.Projection;
import dev.lorikeet.adapter.TargetModule;
import dev.lorikeet.adapter.TargetSpec;
import dev.lorikeet.model.ModelShape;
import dev.lorikeet.tensor.ElementType;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
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

  /**
   * One target module and where its factors begin in the file.
   *
   * @param spec the target module
   * @param aBegin the first byte of A, {@code [rank, in / aBlocks]}
   * @param bBegin the first byte of B, {@code [out, rank / bBlocks]}
   */
  private record Placed(TargetSpec spec, long aBegin, long bBegin) {}

  private final Path path;
  private final FileChannel channel;
  private final List<Placed> placed;
  private final List<TargetSpec> targets;

  private PeftAdapterFile(Path path, FileChannel channel, List<Placed> placed) {
    this.path = path;
    this.channel = channel;
    this.placed = placed;
    this.targets = placed.stream().map(Placed::spec).toList();
  }

  /** Opens a directory and checks everything but the values of the weights. */
  static PeftAdapterFile open(Path directory, ModelShape shape) throws IOException {
    AdapterFolder folder = AdapterFolder.of(directory);
    PeftConfig config =
        PeftConfigReader.read(
            folder.path(CONFIG), folder.read(CONFIG, PeftConfigReader.MAX_CONFIG_BYTES));
    Path weights = folder.path(WEIGHTS);
    if (!folder.has(WEIGHTS) && folder.has(PICKLE)) {
      throw Refusal.unsupported(
          folder.path(PICKLE), "pickle files can run code and are never read; expected " + WEIGHTS);
    }
    FileChannel channel = folder.open(WEIGHTS);
    try {
      SafetensorsHeader header = SafetensorsHeader.read(weights, channel);
      return new PeftAdapterFile(
          weights,
          channel,
          new Checker(weights, config, shape).check(PeftTensors.of(weights, header)));
    } catch (IOException | RuntimeException | Error e) {
      channel.close();
      throw e;
    }
  }

  /** Compares what the configuration asks for with the tensors that are there. */
  private record Checker(Path file, PeftConfig config, ModelShape shape) {
    List<Placed> check(PeftTensors tensors) {
      List<Placed> placed = new ArrayList<>();
      for (int layer = 0; layer < shape.layers(); layer++) {
        for (Projection projection : Projection.all()) {
          var target = new TargetModule(layer, projection);
          String name = tensors.layersPrefix() + layer + "." + projection.path();
          boolean covered = config.covers(name, tensors.layersPrefix(), layer);
          Optional<PeftTensors.Pair> pair = tensors.pair(target);
          if (covered) {
            placed.add(placed(target, name, pair.orElseThrow(() -> tensors.missing(target))));
          } else if (pair.isPresent()) {
            throw Refusal.invalid(
                file,
                SafetensorsHeader.tensor(pair.get().anyName())
                    + ": expected no tensor of "
                    + name
                    + ", which target_modules, exclude_modules and layers_to_transform of "
                    + CONFIG
                    + " leave out");
          }
        }
      }
      tensors
          .layerBeyond(shape.layers())
          .ifPresent(
              name -> {
                throw Refusal.invalid(
                    file,
                    SafetensorsHeader.tensor(name)
                        + ": expected layers 0 to "
                        + (shape.layers() - 1)
                        + " of the base model");
              });
      if (placed.isEmpty()) {
        throw Refusal.invalid(
            config.file(), "target_modules: expected at least one module of the base model");
      }
      return List.copyOf(placed);
    }

    private Placed placed(TargetModule target, String name, PeftTensors.Pair pair) {
      PeftConfig.Module module = config.module(name);
      int in = shape.inFeatures(target.projection());
      int out = shape.outFeatures(target.projection());
      checkBlocks(name, "A", module.aBlocks(), in, module.rank());
      checkBlocks(name, "B", module.bBlocks(), out, module.rank());
      checkShape(pair.a(), module.rank(), in / module.aBlocks(), "[rank, in]", module.aBlocks());
      checkShape(pair.b(), out, module.rank() / module.bBlocks(), "[out, rank]", module.bBlocks());
      ElementType type = type(pair.a());
      if (type != type(pair.b())) {
        throw Refusal.unsupported(
            file,
            SafetensorsHeader.tensor(pair.b().name())
                + ": dtype: expected "
                + type
                + " as of lora_A, found "
                + type(pair.b())
                + ": mixed types are not supported");
      }
      var spec =
          new TargetSpec(
              target,
              module.rank(),
              in,
              out,
              module.scaling(),
              module.aBlocks(),
              module.bBlocks(),
              type);
      return new Placed(spec, pair.a().entry().begin(), pair.b().entry().begin());
    }

    private void checkBlocks(String name, String factor, int blocks, int width, int rank) {
      if (width % blocks != 0 || rank % blocks != 0) {
        throw Refusal.invalid(
            config.file(),
            "use_bdlora.nblocks: expected a number that divides "
                + width
                + " features and rank "
                + rank
                + " of "
                + factor
                + " of "
                + name
                + ", found "
                + blocks);
      }
    }

    private void checkShape(
        PeftTensors.Named tensor, long rows, long columns, String meaning, int blocks) {
      var expected = List.of(rows, columns);
      if (!tensor.entry().shape().equals(expected)) {
        throw Refusal.invalid(
            file,
            SafetensorsHeader.tensor(tensor.name())
                + ": expected shape "
                + expected
                + " as "
                + CONFIG
                + " has it, "
                + meaning
                + (blocks == 1 ? "" : " in " + blocks + " diagonal blocks")
                + ", found "
                + tensor.entry().shape());
      }
    }

    private ElementType type(PeftTensors.Named tensor) {
      String type = tensor.entry().type();
      return switch (type) {
        case "F32" -> ElementType.F32;
        case "F16" -> ElementType.F16;
        case "BF16" -> ElementType.BF16;
        case "F64", "F8_E4M3", "F8_E5M2" ->
            throw Refusal.unsupported(file, dtype(tensor, type) + ", which is not supported");
        default -> throw Refusal.invalid(file, dtype(tensor, type));
      };
    }

    private static String dtype(PeftTensors.Named tensor, String found) {
      return SafetensorsHeader.tensor(tensor.name())
          + ": dtype: expected F32, F16 or BF16, found "
          + found;
    }
  }

  @Override
  public Path path() {
    return path;
  }

  @Override
  public List<TargetSpec> targets() {
    return targets;
  }

  @Override
  public long read(WeightSink sink) throws IOException {
    long digest = targets.hashCode();
    try (Arena arena = Arena.ofConfined()) {
      int longest = targets.stream().mapToInt(PeftAdapterFile::longestLine).max().orElseThrow();
      MemorySegment chunk = arena.allocate(Math.max(CHUNK_BYTES, longest), 64);
      for (int t = 0; t < placed.size(); t++) {
        Placed at = placed.get(t);
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
