package dev.lorikeet.arrow.ipc;

import dev.lorikeet.adapter.TargetSpec;
import dev.lorikeet.arrow.AdapterFiles;
import dev.lorikeet.files.Faults;
import dev.lorikeet.files.UntrustedFile;
import dev.lorikeet.files.adapter.AdapterFile;
import dev.lorikeet.files.adapter.AdapterPlan;
import dev.lorikeet.files.adapter.FactorReader;
import dev.lorikeet.files.adapter.FileStamp;
import dev.lorikeet.files.adapter.StoredBytes;
import dev.lorikeet.files.adapter.WeightSink;
import dev.lorikeet.shape.ModelShape;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;

/**
 * An adapter in one Arrow IPC file, as {@link AdapterFiles#convert} writes it: B is transposed
 * already, so that a load is a copy. See {@link ArrowAdapterFormat}.
 */
public final class ArrowAdapterFile implements AdapterFile {
  private final Path path;
  private final FileChannel channel;
  private final FileStamp stamp;
  private final AdapterPlan plan;
  private final Optional<String> baseModel;

  private ArrowAdapterFile(
      Path path,
      FileChannel channel,
      FileStamp stamp,
      AdapterPlan plan,
      Optional<String> baseModel) {
    this.baseModel = baseModel;
    this.path = path;
    this.channel = channel;
    this.stamp = stamp;
    this.plan = plan;
  }

  /** Returns whether a path names such a file: a name in {@code .arrow} that is no folder. */
  public static boolean isNamed(Path path) {
    return path.toString().endsWith(ArrowAdapterFormat.SUFFIX) && !Files.isDirectory(path);
  }

  /**
   * Opens a file and checks everything but the values of the weights.
   *
   * @param shape the sizes of the base model, or empty to take any
   */
  public static ArrowAdapterFile open(Path path, Optional<ModelShape> shape) throws IOException {
    Path real;
    try {
      real = path.toRealPath(); // the application named this very file, which may be a link
    } catch (IOException e) {
      throw Faults.ADAPTER.refuse(path, "expected an Arrow file, found: " + e, e);
    }
    FileChannel channel = UntrustedFile.open(Faults.ADAPTER, path, real);
    try {
      var contents = new ArrowAdapterHeader(path, channel).read(shape);
      return new ArrowAdapterFile(
          path,
          channel,
          FileStamp.of(real),
          AdapterPlan.of(contents.placed()),
          contents.baseModel());
    } catch (IOException | RuntimeException | Error e) {
      channel.close();
      throw e;
    }
  }

  /** Returns the target modules and where their factors are. */
  public List<AdapterPlan.Placed> placed() {
    return plan.placed();
  }

  /** Returns the open file. */
  public FileChannel channel() {
    return channel;
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
    return baseModel;
  }

  @Override
  public long read(WeightSink sink) throws IOException {
    StoredBytes bytes =
        (buffer, position) ->
            UntrustedFile.readFully(Faults.ADAPTER, path, channel, buffer, position);
    return new FactorReader(bytes, WeightSink.Factor.A, WeightSink.Factor.B_BY_ROW)
        .read(plan, sink);
  }

  @Override
  public void close() throws IOException {
    channel.close();
  }
}
