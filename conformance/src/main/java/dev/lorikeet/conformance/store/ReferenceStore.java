package dev.lorikeet.conformance.store;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.adapter.AdapterLease;
import dev.lorikeet.adapter.AdapterSource;
import dev.lorikeet.adapter.AdapterSpec;
import dev.lorikeet.adapter.AdapterStore;
import dev.lorikeet.adapter.LoraFactor;
import dev.lorikeet.adapter.LoraWeights;
import dev.lorikeet.adapter.StoreConfig;
import dev.lorikeet.adapter.StoreStats;
import dev.lorikeet.adapter.TargetSpec;
import dev.lorikeet.conformance.files.ReferencePeft;
import dev.lorikeet.memory.PageOwner;
import dev.lorikeet.memory.PagePool;
import dev.lorikeet.shape.ModelShape;
import dev.lorikeet.shape.TargetModule;
import dev.lorikeet.tensor.Device;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.atomic.AtomicLong;

/**
 * An adapter store as plain as can be: what the suite lends to models under test. One lock guards
 * everything, reading of files included; rows lie in pages one after the other, none across a
 * border. Residents are kept in the order of their last use.
 */
public class ReferenceStore implements AdapterStore {
  private static final AtomicLong GENERATIONS = new AtomicLong();

  private final ModelShape shape;
  private final PagePool pool;
  private final PagePool.Registration registration;
  private final Map<String, Adapter> adapters = new TreeMap<>();
  private final Set<Adapter> residents = new LinkedHashSet<>();
  private long hits;
  private long loads;
  private long evictions;
  private boolean closed;

  public ReferenceStore(StoreConfig config) {
    if (!config.options().isEmpty()) {
      throw new IllegalArgumentException(
          "options: expected none, found " + config.options().keySet());
    }
    shape = config.shape();
    pool = config.pool();
    registration = pool.onPressure(this::reclaim);
  }

  /** One generation of a name. */
  static final class Adapter {
    final AdapterSpec spec;
    final Path path;
    Map<TargetModule, LoraWeights> weights = Map.of();
    int[] pages = new int[0];
    int leases;
    boolean registered = true;

    Adapter(AdapterSpec spec, Path path) {
      this.spec = spec;
      this.path = path;
    }
  }

  @Override
  public synchronized AdapterSpec register(AdapterSource source) {
    requireOpen();
    List<ReferencePeft.Module> modules = read(source.path());
    int pages = pages(modules);
    if (pages > capacity()) {
      throw new LorikeetException(
          Code.TOO_LARGE,
          source.id() + ": needs " + pages + " pages, the pool has " + pool.pageCount());
    }
    List<TargetSpec> targets = modules.stream().map(ReferencePeft.Module::spec).toList();
    AdapterSpec spec = AdapterSpec.of(source.id(), nextGeneration(), targets);
    Adapter before = adapters.put(source.id(), new Adapter(spec, source.path()));
    if (before != null) {
      retire(before);
    }
    return spec;
  }

  void retire(Adapter adapter) {
    adapter.registered = false;
    if (adapter.leases == 0) {
      unload(adapter);
    }
  }

  void unload(Adapter adapter) {
    residents.remove(adapter);
    adapter.weights = Map.of();
    pool.free(adapter.pages, 0, adapter.pages.length);
    adapter.pages = new int[0];
  }

  /** Returns how many pages rows take when none lies across a border. */
  private int pages(List<ReferencePeft.Module> modules) {
    int pages = 0;
    int used = pool.pageBytes();
    for (byte[] row : rows(modules)) {
      if (row.length > pool.pageBytes()) {
        throw new LorikeetException(Code.TOO_LARGE, "a row of " + row.length + " bytes");
      }
      if (used + row.length > pool.pageBytes()) {
        pages++;
        used = 0;
      }
      used += row.length;
    }
    return pages;
  }

  private static List<byte[]> rows(List<ReferencePeft.Module> modules) {
    List<byte[]> rows = new ArrayList<>();
    for (ReferencePeft.Module module : modules) {
      rows.addAll(module.a());
      rows.addAll(module.b());
    }
    return rows;
  }

  @Override
  public synchronized AdapterLease acquire(String id) {
    requireOpen();
    Adapter adapter = adapters.get(id);
    if (adapter == null) {
      throw new LorikeetException(Code.ADAPTER_NOT_FOUND, "no adapter '" + id + "'");
    }
    if (adapter.pages.length > 0) {
      hits++;
    } else {
      load(adapter);
    }
    return lease(adapter);
  }

  void load(Adapter adapter) {
    List<ReferencePeft.Module> modules = read(adapter.path);
    int[] pages = new int[pages(modules)];
    if (!pool.allocate(PageOwner.ADAPTER, pages, 0, pages.length)) {
      throw new LorikeetException(
          Code.POOL_EXHAUSTED, adapter.spec.id() + ": no room for " + pages.length + " pages");
    }
    MemorySegment memory = pool.memory();
    Placement placement = new Placement(memory, pages, pool.pageBytes());
    Map<TargetModule, LoraWeights> weights = new HashMap<>();
    for (ReferencePeft.Module module : modules) {
      TargetSpec t = module.spec();
      LoraFactor a =
          new LoraFactor(
              t.type(), t.inFeatures(), t.aBlocks(), Device.HOST, memory, placement.of(module.a()));
      LoraFactor b =
          new LoraFactor(
              t.type(),
              t.outFeatures(),
              t.bBlocks(),
              Device.HOST,
              memory,
              placement.of(module.b()));
      weights.put(t.target(), LoraWeights.of(t.target(), a, b, t.scaling()));
    }
    adapter.pages = pages;
    adapter.weights = weights;
    loads++;
  }

  /** Lays rows into pages, one after the other. */
  private static final class Placement {
    private final MemorySegment memory;
    private final int[] pages;
    private final int pageBytes;
    private int page;
    private int used;

    Placement(MemorySegment memory, int[] pages, int pageBytes) {
      this.memory = memory;
      this.pages = pages;
      this.pageBytes = pageBytes;
    }

    long[] of(List<byte[]> rows) {
      long[] offsets = new long[rows.size()];
      for (int r = 0; r < offsets.length; r++) {
        byte[] row = rows.get(r);
        if (used + row.length > pageBytes) {
          page++;
          used = 0;
        }
        offsets[r] = (long) pages[page] * pageBytes + used;
        MemorySegment.copy(row, 0, memory, ValueLayout.JAVA_BYTE, offsets[r], row.length);
        used += row.length;
      }
      return offsets;
    }
  }

  AdapterLease lease(Adapter adapter) {
    residents.remove(adapter);
    residents.add(adapter);
    adapter.leases++;
    return new Lease(this, adapter);
  }

  @Override
  public synchronized Optional<AdapterLease> acquireIfResident(String id) {
    requireOpen();
    Adapter adapter = adapters.get(id);
    if (adapter == null || adapter.pages.length == 0) {
      return Optional.empty();
    }
    hits++;
    return Optional.of(lease(adapter));
  }

  @Override
  public void prefetch(Collection<String> ids) {
    // A hint; this store takes none.
  }

  @Override
  public synchronized boolean unregister(String id) {
    Adapter adapter = adapters.remove(id);
    if (adapter == null) {
      return false;
    }
    retire(adapter);
    return true;
  }

  List<ReferencePeft.Module> read(Path path) {
    return ReferencePeft.read(path, shape);
  }

  int capacity() {
    return pool.pageCount();
  }

  long nextGeneration() {
    return GENERATIONS.incrementAndGet();
  }

  /** Returns residents in the order in which they leave, given that of their last use. */
  List<Adapter> victims(List<Adapter> byLastUse) {
    return byLastUse;
  }

  /** Frees pages of adapters without leases, the least recently used first. */
  synchronized int reclaim(int wanted) {
    int freed = 0;
    for (Adapter adapter : victims(List.copyOf(residents))) {
      if (freed >= wanted) {
        break;
      }
      if (adapter.leases == 0) {
        freed += adapter.pages.length;
        unload(adapter);
        evictions++;
      }
    }
    return freed;
  }

  @Override
  public synchronized Optional<AdapterSpec> find(String id) {
    return Optional.ofNullable(adapters.get(id)).map(adapter -> adapter.spec);
  }

  @Override
  public synchronized List<AdapterSpec> list() {
    return adapters.values().stream().map(adapter -> adapter.spec).toList();
  }

  @Override
  public synchronized StoreStats stats() {
    int leased = (int) residents.stream().filter(adapter -> adapter.leases > 0).count();
    long bytes = residents.stream().mapToLong(adapter -> adapter.spec.bytes()).sum();
    int pages = residents.stream().mapToInt(adapter -> adapter.pages.length).sum();
    return StoreStats.builder()
        .registered(adapters.size())
        .resident(residents.size())
        .leased(leased)
        .residentBytes(bytes)
        .residentPages(pages)
        .hits(hits)
        .loads(loads)
        .evictions(evictions)
        .build();
  }

  void release(Adapter adapter) {
    adapter.leases--;
    if (adapter.leases == 0 && (!adapter.registered || closed)) {
      unload(adapter);
    }
  }

  @Override
  public synchronized void close() {
    if (closed) {
      return;
    }
    closed = true;
    registration.close();
    adapters.clear();
    for (Adapter adapter : List.copyOf(residents)) {
      if (adapter.leases == 0) {
        unload(adapter);
      }
    }
    if (!residents.isEmpty()) {
      throw new IllegalStateException(
          "store: closed with leases on "
              + residents.stream().map(adapter -> adapter.spec.id()).toList());
    }
  }

  private void requireOpen() {
    if (closed) {
      throw new IllegalStateException("store: closed");
    }
  }

  /** A claim on one generation. */
  private static final class Lease implements AdapterLease {
    private final ReferenceStore store;
    private final Adapter adapter;
    private volatile boolean ended;

    Lease(ReferenceStore store, Adapter adapter) {
      this.store = store;
      this.adapter = adapter;
    }

    @Override
    public AdapterSpec spec() {
      return adapter.spec;
    }

    @Override
    public Optional<LoraWeights> weights(TargetModule target) {
      if (ended) {
        throw new IllegalStateException("lease on '" + adapter.spec.id() + "': closed");
      }
      return Optional.ofNullable(adapter.weights.get(target));
    }

    @Override
    public void close() {
      synchronized (store) {
        if (!ended) {
          ended = true;
          store.release(adapter);
        }
      }
    }
  }
}
