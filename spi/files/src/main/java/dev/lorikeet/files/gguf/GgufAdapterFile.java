package dev.lorikeet.files.gguf;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.adapter.TargetSpec;
import dev.lorikeet.files.Faults;
import dev.lorikeet.files.UntrustedFile;
import dev.lorikeet.files.adapter.AdapterFile;
import dev.lorikeet.files.adapter.AdapterPlan;
import dev.lorikeet.files.adapter.FactorReader;
import dev.lorikeet.files.adapter.FileStamp;
import dev.lorikeet.files.adapter.StoredBytes;
import dev.lorikeet.files.adapter.WeightSink;
import dev.lorikeet.shape.ModelShape;
import dev.lorikeet.shape.Projection;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;

/**
 * A LoRA adapter in a GGUF file, as llama.cpp's converter writes it, checked against the base
 * model's sizes.
 */
public final class GgufAdapterFile implements AdapterFile {
  private final Path path;
  private final FileChannel channel;
  private final FileStamp stamp;
  private final Optional<ModelShape> shape;
  private final GgufHeader header;
  private final AdapterPlan plan;

  private GgufAdapterFile(
      Path path,
      FileChannel channel,
      FileStamp stamp,
      Optional<ModelShape> shape,
      GgufHeader header) {
    this.path = path;
    this.channel = channel;
    this.stamp = stamp;
    this.shape = shape;
    this.header = header;
    this.plan = new GgufAdapterPlan(header, shape).read();
  }

  /** Returns whether a path has the name of such a file. */
  public static boolean isNamed(Path path) {
    return GgufModel.isNamed(path);
  }

  /** Returns whether a path has the name of such a file, and the file says that it is one. */
  public static boolean isAdapter(Path path) {
    if (!isNamed(path)) {
      return false;
    }
    try {
      return GgufHeader.read(Faults.ADAPTER, path)
          .metadata()
          .text("general.type")
          .filter("adapter"::equals)
          .isPresent();
    } catch (LorikeetException e) {
      return false;
    }
  }

  /**
   * Opens a file and checks everything but the values of the weights.
   *
   * @param shape the sizes of the base model, or empty for any
   * @throws dev.lorikeet.LorikeetException with {@code ADAPTER_INVALID} or {@code
   *     ADAPTER_UNSUPPORTED}, naming file and key or tensor
   */
  public static GgufAdapterFile open(Path path, Optional<ModelShape> shape) throws IOException {
    FileChannel channel = UntrustedFile.open(Faults.ADAPTER, path);
    try {
      return new GgufAdapterFile(
          path,
          channel,
          FileStamp.of(path.toRealPath()),
          shape,
          GgufHeader.read(Faults.ADAPTER, path, channel));
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
    return header
        .metadata()
        .text("general.base_model.0.name")
        .filter(name -> !name.isEmpty())
        .map(Faults::show);
  }

  @Override
  public long read(WeightSink sink) throws IOException {
    String architecture = GgufAdapterPlan.architecture(header);
    WeightSink ordered =
        GgufConfig.turnsNeighbours(architecture)
            ? new HalvesSink(shape.orElseThrow(this::withoutSizes), sink)
            : sink;
    StoredBytes bytes =
        (buffer, position) ->
            UntrustedFile.readFully(Faults.ADAPTER, path, channel, buffer, position);
    return new FactorReader(bytes, WeightSink.Factor.A, WeightSink.Factor.B_BY_OUTPUT)
        .read(plan, ordered);
  }

  private IllegalStateException withoutSizes() {
    return new IllegalStateException(
        path + ": weights are read with the sizes of the base model alone");
  }

  /** Gives the rows of B of queries and keys the order that Hugging Face has, one by one. */
  private record HalvesSink(ModelShape shape, WeightSink next) implements WeightSink {
    @Override
    public void accept(
        int target, TargetSpec spec, Factor factor, int firstLine, int lines, MemorySegment data) {
      Projection projection = spec.target().projection();
      if (factor != Factor.B_BY_OUTPUT
          || (projection != Projection.Q && projection != Projection.K)) {
        next.accept(target, spec, factor, firstLine, lines, data);
        return;
      }
      long bytes = data.byteSize() / lines;
      for (int line = 0; line < lines; line++) {
        int row = GgufNames.rowOf(firstLine + line, shape.headDim());
        next.accept(target, spec, factor, row, 1, data.asSlice(line * bytes, bytes));
      }
    }
  }

  @Override
  public void close() throws IOException {
    channel.close();
  }
}
