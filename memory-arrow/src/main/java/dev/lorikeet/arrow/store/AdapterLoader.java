package dev.lorikeet.arrow.store;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.adapter.AdapterSource;
import dev.lorikeet.adapter.TargetSpec;
import dev.lorikeet.arrow.ipc.ArrowAdapterFile;
import dev.lorikeet.files.Faults;
import dev.lorikeet.files.RecentlyUsed;
import dev.lorikeet.files.adapter.AdapterFile;
import dev.lorikeet.files.adapter.FileStamp;
import dev.lorikeet.files.adapter.FiniteCheck;
import dev.lorikeet.files.adapter.RowWriter;
import dev.lorikeet.files.adapter.WeightTable;
import dev.lorikeet.files.gguf.GgufAdapterFile;
import dev.lorikeet.files.peft.PeftAdapterFile;
import dev.lorikeet.files.peft.PeftPlans;
import dev.lorikeet.memory.PageOwner;
import dev.lorikeet.memory.PagePool;
import dev.lorikeet.shape.ModelShape;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;

/**
 * Reads adapters: checks them for registration, and brings them into pages. Keeps nothing but
 * descriptions that several adapters share. Thread-safe.
 */
final class AdapterLoader {
  private static final int MAX_SHARED = 1024;
  private static final int MAX_STAMPS = 4096;

  private final ModelShape shape;
  private final PeftPlans plans;
  private final PagePool pool;
  private final KeptType kept;
  private final Map<List<TargetSpec>, List<TargetSpec>> shared = new ConcurrentHashMap<>();

  /** Digests of weights that were checked, so that files linked many times are read once. */
  private final RecentlyUsed<FileStamp, Checked> checked = new RecentlyUsed<>(MAX_STAMPS);

  /**
   * Creates a loader of adapters for a base model of these sizes.
   *
   * @param strict whether every module that an adapter's configuration covers must have weights
   */
  AdapterLoader(ModelShape shape, PagePool pool, KeptType kept, boolean strict) {
    this.shape = shape;
    plans = strict ? PeftPlans.strict(Optional.of(shape)) : new PeftPlans(Optional.of(shape));
    this.pool = pool;
    this.kept = kept;
  }

  /**
   * What registration learns of an adapter.
   *
   * @param targets the target modules as they are kept
   * @param digest the digest of all weights as they are in the file
   */
  record Checked(List<TargetSpec> targets, long digest) {}

  /** Reads and checks an adapter, all its weights included. */
  Checked check(AdapterSource source) {
    try (AdapterFile file = open(source.path())) {
      List<TargetSpec> targets = share(kept.of(file.targets()));
      checkSize(file.path(), targets);
      Optional<Checked> before = checked.get(file.stamp());
      if (before.isPresent() && before.get().targets().equals(targets)) {
        return before.get(); // were the stamp forged, the load would find another digest
      }
      var check = new NarrowingSink(file.path(), targets, new FiniteCheck(file.path()));
      var now = new Checked(targets, file.read(check));
      if (file.stamp().isSettled()) {
        checked.put(file.stamp(), now);
      }
      return now;
    } catch (IOException e) {
      throw unreadable(source.path(), e);
    }
  }

  /** Brings a registered adapter into pages; it must be as it was at registration. */
  Resident load(Path path, Checked registered) {
    try (AdapterFile file = open(path)) {
      if (!kept.of(file.targets()).equals(registered.targets())) {
        throw changed(file.path());
      }
      PageLayout layout = PageLayout.of(registered.targets(), pool.pageBytes());
      int[] pages = new int[layout.pages()];
      if (!pool.allocate(PageOwner.ADAPTER, pages, 0, pages.length)) {
        throw new LorikeetException(
            LorikeetException.Code.POOL_EXHAUSTED,
            path
                + ": expected "
                + pages.length
                + " free pages for the adapter, found: "
                + pool.stats());
      }
      try {
        long[][] rows = layout.rowOffsets(pages);
        var copy =
            new NarrowingSink(
                file.path(), registered.targets(), new RowWriter(rows, pool.memory()));
        if (file.read(copy) != registered.digest()) {
          throw changed(file.path());
        }
        return new Resident(pages, WeightTable.of(registered.targets(), rows, pool.memory()));
      } catch (IOException | RuntimeException | Error e) {
        pool.free(pages, 0, pages.length);
        throw e;
      }
    } catch (IOException e) {
      throw unreadable(path, e);
    }
  }

  private AdapterFile open(Path path) throws IOException {
    if (GgufAdapterFile.isNamed(path)) {
      return GgufAdapterFile.open(path, Optional.of(shape));
    }
    return ArrowAdapterFile.isNamed(path)
        ? ArrowAdapterFile.open(path, Optional.of(shape))
        : PeftAdapterFile.open(path, plans);
  }

  /** Adapters trained alike have equal descriptions; ten thousand of them share one. */
  private List<TargetSpec> share(List<TargetSpec> targets) {
    if (shared.size() >= MAX_SHARED) {
      shared.clear();
    }
    List<TargetSpec> fixed = List.copyOf(targets); // AdapterSpec keeps this very list
    List<TargetSpec> known = shared.putIfAbsent(fixed, fixed);
    return known == null ? fixed : known;
  }

  private void checkSize(Path file, List<TargetSpec> targets) {
    int longest = PageLayout.longestRow(targets);
    if (longest > pool.pageBytes()) {
      throw tooLarge(
          file,
          "expected rows of at most a page of "
              + pool.pageBytes()
              + " bytes, found rows of "
              + longest
              + "; open the pool with larger pages");
    }
    int pages = PageLayout.of(targets, pool.pageBytes()).pages();
    if (pages > pool.pageCount()) {
      throw tooLarge(
          file,
          "expected an adapter of at most the pool's "
              + pool.pageCount()
              + " pages, found one of "
              + pages);
    }
  }

  private static LorikeetException tooLarge(Path file, String message) {
    return new LorikeetException(LorikeetException.Code.TOO_LARGE, file + ": " + message);
  }

  private static LorikeetException changed(Path file) {
    return Faults.ADAPTER.refuse(
        file,
        "expected the adapter as it was registered, found other content; register it again to use it");
  }

  private static LorikeetException unreadable(Path path, IOException e) {
    return Faults.ADAPTER.refuse(path, "expected a readable adapter, found: " + e, e);
  }
}
