package dev.lorikeet.arrow;

import dev.lorikeet.adapter.LoraWeights;
import dev.lorikeet.adapter.TargetSpec;
import dev.lorikeet.arrow.ipc.ArrowAdapterFile;
import dev.lorikeet.files.Faults;
import dev.lorikeet.files.MappedFiles;
import dev.lorikeet.files.adapter.AdapterPlan;
import dev.lorikeet.files.adapter.FiniteCheck;
import dev.lorikeet.files.adapter.WeightPlaces;
import dev.lorikeet.files.adapter.WeightTable;
import dev.lorikeet.shape.TargetModule;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;

/**
 * An adapter that is used where its Arrow file lies in memory. Any thread may read it until it is
 * closed; whoever opened it closes it, and nobody may use its weights any more then.
 */
public final class MappedAdapter implements AutoCloseable {
  private final Arena arena;
  private final List<TargetSpec> targets;
  private final WeightTable table;
  private final MappedFiles file;

  private MappedAdapter(
      Arena arena, List<TargetSpec> targets, WeightTable table, MappedFiles file) {
    this.file = file;
    this.arena = arena;
    this.targets = targets;
    this.table = table;
  }

  static MappedAdapter open(Path path) {
    Arena arena = Arena.ofShared();
    MappedFiles watched = MappedFiles.none();
    try (ArrowAdapterFile file = ArrowAdapterFile.open(path, Optional.empty())) {
      watched = MappedFiles.watch(Faults.ADAPTER, List.of(path));
      file.read(new FiniteCheck(path));
      FileChannel channel = file.channel();
      MemorySegment mapped = channel.map(FileChannel.MapMode.READ_ONLY, 0, channel.size(), arena);
      WeightPlaces places = WeightPlaces.empty(file.targets(), List.of());
      long[][] rows = places.factors();
      for (int factor = 0; factor < rows.length; factor++) {
        rows[factor] = rows(file.placed().get(factor / 2), factor % 2 == 0);
      }
      watched.check();
      return new MappedAdapter(
          arena,
          file.targets(),
          WeightTable.of(file.targets(), List.of(), places, mapped),
          watched);
    } catch (IOException e) {
      watched.close();
      arena.close();
      throw Faults.ADAPTER.refuse(path, "expected a file that can be mapped, found: " + e, e);
    } catch (RuntimeException | Error e) {
      watched.close();
      arena.close();
      throw e;
    }
  }

  private static long[] rows(AdapterPlan.Placed placed, boolean a) {
    TargetSpec spec = placed.spec();
    long[] rows = new long[spec.rank()];
    for (int r = 0; r < rows.length; r++) {
      rows[r] =
          a
              ? placed.a().begin() + (long) r * spec.aRowBytes()
              : placed.b().begin() + (long) r * spec.bRowBytes();
    }
    return rows;
  }

  /** Returns the target modules, sorted by layer and projection. */
  public List<TargetSpec> targets() {
    return targets;
  }

  /**
   * Returns the weights for one target module, or empty if the adapter does not change it.
   * Allocates nothing. Reading them after {@link #close} throws {@link IllegalStateException}.
   *
   * @throws dev.lorikeet.LorikeetException with code {@code ADAPTER_INVALID} if the file was
   *     changed in place
   */
  public Optional<LoraWeights> weights(TargetModule target) {
    file.checkNowAndThen();
    return table.find(target);
  }

  /** Unmaps the file. Idempotent. */
  @Override
  public void close() {
    file.close();
    if (arena.scope().isAlive()) {
      arena.close();
    }
  }
}
