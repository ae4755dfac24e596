package dev.lorikeet.arrow.store;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.adapter.AdapterSource;
import dev.lorikeet.adapter.AdapterText;
import dev.lorikeet.adapter.PartSpec;
import dev.lorikeet.adapter.StoreConfig;
import dev.lorikeet.adapter.TargetSpec;
import dev.lorikeet.arrow.ipc.ArrowAdapterFile;
import dev.lorikeet.files.Faults;
import dev.lorikeet.files.RecentlyUsed;
import dev.lorikeet.files.adapter.AdapterFile;
import dev.lorikeet.files.adapter.FileStamp;
import dev.lorikeet.files.adapter.FiniteCheck;
import dev.lorikeet.files.adapter.RowWriter;
import dev.lorikeet.files.adapter.WeightPlaces;
import dev.lorikeet.files.adapter.WeightTable;
import dev.lorikeet.files.gguf.GgufAdapterFile;
import dev.lorikeet.files.peft.PeftAdapterFile;
import dev.lorikeet.files.peft.PeftPlans;
import dev.lorikeet.files.peft.TrustedLinks;
import dev.lorikeet.memory.PageOwner;
import dev.lorikeet.memory.PagePool;
import dev.lorikeet.shape.ModelShape;
import java.io.IOException;
import java.lang.ref.WeakReference;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.WeakHashMap;
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
  private final TrustedLinks links;
  private final PagePool pool;
  private final KeptType kept;
  private final Optional<Path> model;
  private final Map<List<TargetSpec>, List<TargetSpec>> shared = new ConcurrentHashMap<>();

  /** Digests of weights that were checked, so that files linked many times are read once. */
  private final RecentlyUsed<FileStamp, Checked> checked = new RecentlyUsed<>(MAX_STAMPS);

  private final Map<AdapterText, WeakReference<AdapterText>> texts = new WeakHashMap<>();

  /**
   * Creates a loader of adapters.
   *
   * @param plans what is asked of PEFT adapters
   * @param links where links out of their folders may lead
   */
  AdapterLoader(StoreConfig config, KeptType kept, PeftPlans plans, TrustedLinks links) {
    this.shape = config.shape();
    this.plans = plans;
    this.links = links;
    this.pool = config.pool();
    this.kept = kept;
    this.model = config.model();
  }

  /**
   * What registration learns of an adapter.
   *
   * @param targets the target modules as they are kept
   * @param parts what it has beside and is kept
   * @param digest the digest of everything as it is in the file
   */
  record Checked(List<TargetSpec> targets, List<PartSpec> parts, long digest) {}

  /**
   * An adapter that may be registered.
   *
   * @param weights what there is of weights
   * @param text what its files say of texts
   */
  record Sound(Checked weights, Optional<AdapterText> text) {}

  /** Reads and checks an adapter, all its weights included. */
  Sound check(AdapterSource source) {
    try (AdapterFile file = open(source.path())) {
      return new Sound(checkWeights(file), file.text(shape.vocabulary()).map(this::share));
    } catch (IOException e) {
      throw unreadable(source.path(), e);
    }
  }

  private Checked checkWeights(AdapterFile file) throws IOException {
    List<TargetSpec> targets = share(kept.of(file.targets()));
    Optional<Checked> before = checked.get(file.stamp());
    if (before.isPresent() && before.get().targets().equals(targets)) {
      checkSize(file.path(), targets, before.get().parts());
      return before.get(); // were the stamp forged, the load would find another digest
    }
    try (BaseMatrices base = new BaseMatrices(model, shape)) {
      var copies = new CopyCheck(file.parts(), base, new FiniteCheck(file.path()));
      var check = new NarrowingSink(file.path(), targets, copies);
      long digest = file.read(check);
      var now = new Checked(targets, copies.others(), digest);
      if (targets.isEmpty() && now.parts().isEmpty()) {
        throw Faults.ADAPTER.refuse(
            file.path(), "expected an adapter that changes something, found copies of the base");
      }
      checkSize(file.path(), targets, now.parts());
      if (file.stamp().isSettled()) {
        checked.put(file.stamp(), now);
      }
      return now;
    }
  }

  /** Brings a registered adapter into pages; it must be as it was at registration. */
  Resident load(Path path, Checked registered) {
    try (AdapterFile file = open(path)) {
      if (!kept.of(file.targets()).equals(registered.targets())
          || !file.parts().containsAll(registered.parts())) {
        throw changed(file.path());
      }
      List<PartSpec> parts = file.parts();
      Set<Integer> dropped = new HashSet<>();
      for (int p = 0; p < parts.size(); p++) {
        if (!registered.parts().contains(parts.get(p))) {
          dropped.add(p);
        }
      }
      PageLayout layout = PageLayout.of(registered.targets(), parts, dropped, pool.pageBytes());
      int[] pages = allocate(path, layout);
      try {
        WeightPlaces places = layout.places(pages);
        var copy =
            new NarrowingSink(
                file.path(), registered.targets(), new RowWriter(places, pool.memory()));
        if (file.read(copy) != registered.digest()) {
          throw changed(file.path());
        }
        return new Resident(
            pages,
            WeightTable.of(
                registered.targets(), registered.parts(), places.without(dropped), pool.memory()));
      } catch (IOException | RuntimeException | Error e) {
        pool.free(pages, 0, pages.length);
        throw e;
      }
    } catch (IOException e) {
      throw unreadable(path, e);
    }
  }

  /** Allocates the single pages and the runs of a layout, all or none. */
  private int[] allocate(Path path, PageLayout layout) {
    int[] pages = new int[layout.pages()];
    if (!pool.allocate(PageOwner.ADAPTER, pages, 0, layout.singles())) {
      throw noRoom(path, pages.length + " free pages for the adapter");
    }
    int at = layout.singles();
    for (int run : layout.runs()) {
      boolean allocated = false;
      try {
        allocated = pool.allocateRun(PageOwner.ADAPTER, pages, at, run);
      } finally {
        if (!allocated) {
          pool.free(pages, 0, at);
        }
      }
      if (!allocated) {
        throw noRoom(path, run + " free pages in a row for the adapter");
      }
      at += run;
    }
    return pages;
  }

  private LorikeetException noRoom(Path path, String expected) {
    return new LorikeetException(
        LorikeetException.Code.POOL_EXHAUSTED,
        path + ": expected " + expected + ", found: " + pool.stats());
  }

  private AdapterFile open(Path path) throws IOException {
    if (GgufAdapterFile.isNamed(path)) {
      return GgufAdapterFile.open(path, Optional.of(shape));
    }
    return ArrowAdapterFile.isNamed(path)
        ? ArrowAdapterFile.open(path, Optional.of(shape))
        : PeftAdapterFile.open(path, plans, links);
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

  /** Likewise with what they say of texts, as long as one of them is registered. */
  private AdapterText share(AdapterText text) {
    synchronized (texts) {
      AdapterText known = texts.computeIfAbsent(text, WeakReference::new).get();
      return known == null ? text : known;
    }
  }

  private void checkSize(Path file, List<TargetSpec> targets, List<PartSpec> parts) {
    PageLayout layout = PageLayout.of(targets, parts, Set.of(), pool.pageBytes());
    if (layout.runs().length > 0 && !pool.allocatesRuns()) {
      throw tooLarge(
          file,
          "expected rows of at most a page of "
              + pool.pageBytes()
              + " bytes, found longer ones; open the pool with larger pages, or another that gives"
              + " adjacent pages");
    }
    int pages = layout.pages();
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
