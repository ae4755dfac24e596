package dev.lorikeet.host.serving;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.adapter.AdapterLease;
import dev.lorikeet.adapter.AdapterSource;
import dev.lorikeet.adapter.AdapterSpec;
import dev.lorikeet.adapter.AdapterStore;
import dev.lorikeet.adapter.LoraFactor;
import dev.lorikeet.adapter.LoraWeights;
import dev.lorikeet.adapter.StoreStats;
import dev.lorikeet.adapter.TargetSpec;
import dev.lorikeet.memory.PageOwner;
import dev.lorikeet.memory.PagePool;
import dev.lorikeet.shape.Projection;
import dev.lorikeet.shape.TargetModule;
import dev.lorikeet.tensor.Device;
import dev.lorikeet.tensor.ElementType;
import java.lang.foreign.ValueLayout;
import java.util.Collection;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.IntStream;

/**
 * A store of adapters that are a number: the path of the source, which nobody opens. Adapter {@code
 * n} takes {@code 3 + 2 n} pages, whose rows begin with floats that follow from the number. Any
 * thread may use it, but a lease one at a time.
 */
final class FakeStore implements AdapterStore {
  private static final TargetModule TARGET = TargetModule.of(0, Projection.Q);
  private static final int WIDTH = 64;
  private static final int ROW_BYTES = WIDTH * Float.BYTES;
  private static final int PAGE_ROWS = SteppedServing.PAGE_BYTES / ROW_BYTES;

  private static long generations;

  private final PagePool pool;
  private final PagePool.Registration pressure;
  private final Map<String, Adapter> adapters = new TreeMap<>();
  private final Set<Adapter> residents = new LinkedHashSet<>(); // in the order of their last use
  private long hits;
  private long loads;
  private long evictions;

  /** One generation of a name. */
  private static final class Adapter {
    final AdapterSpec spec;
    final int number;
    int[] pages = {};
    int leases;
    boolean registered = true;

    Adapter(AdapterSpec spec, int number) {
      this.spec = spec;
      this.number = number;
    }

    int rank() {
      return spec.maxRank();
    }
  }

  FakeStore(PagePool pool) {
    this.pool = pool;
    pressure = pool.onPressure(this::reclaim);
  }

  @Override
  public synchronized AdapterSpec register(AdapterSource source) {
    int number = Integer.parseInt(source.path().toString());
    TargetSpec target =
        TargetSpec.builder(TARGET)
            .rank(PAGE_ROWS / 2 * (3 + 2 * number))
            .inFeatures(WIDTH)
            .outFeatures(WIDTH)
            .scaling(1)
            .build();
    AdapterSpec spec = AdapterSpec.of(source.id(), ++generations, List.of(target));
    retire(Optional.ofNullable(adapters.put(source.id(), new Adapter(spec, number))));
    return spec;
  }

  private void retire(Optional<Adapter> adapter) {
    if (adapter.isPresent()) {
      adapter.get().registered = false;
      unloadIfUnused(adapter.get());
    }
  }

  private void unloadIfUnused(Adapter adapter) {
    if (adapter.leases == 0 && !adapter.registered) {
      unload(adapter);
    }
  }

  private void unload(Adapter adapter) {
    residents.remove(adapter);
    pool.free(adapter.pages, 0, adapter.pages.length);
    adapter.pages = new int[0];
  }

  private synchronized int reclaim(int wanted) {
    int freed = 0;
    for (Adapter adapter : List.copyOf(residents)) {
      if (adapter.leases == 0 && freed < wanted) {
        freed += adapter.pages.length;
        evictions++;
        unload(adapter);
      }
    }
    return freed;
  }

  @Override
  public synchronized AdapterLease acquire(String id) {
    Adapter adapter = adapters.get(id);
    if (adapter == null) {
      throw new LorikeetException(Code.ADAPTER_NOT_FOUND, "no adapter '" + id + "'");
    }
    if (residents.contains(adapter)) {
      hits++;
    } else {
      load(adapter);
    }
    return lease(adapter);
  }

  private void load(Adapter adapter) {
    int[] pages = new int[2 * adapter.rank() / PAGE_ROWS];
    if (!pool.allocate(PageOwner.ADAPTER, pages, 0, pages.length)) {
      throw new LorikeetException(
          Code.POOL_EXHAUSTED, adapter.spec.id() + ": no room for " + pages.length + " pages");
    }
    adapter.pages = pages;
    for (int row = 0; row < 2 * adapter.rank(); row++) {
      float first = 1000 * adapter.number + row;
      pool.memory().set(ValueLayout.JAVA_FLOAT, rowOffset(adapter, row), first);
    }
    loads++;
  }

  private static long rowOffset(Adapter adapter, int row) {
    long page = adapter.pages[row / PAGE_ROWS];
    return page * SteppedServing.PAGE_BYTES + (long) (row % PAGE_ROWS) * ROW_BYTES;
  }

  @Override
  public synchronized Optional<AdapterLease> acquireIfResident(String id) {
    Optional<Adapter> adapter = Optional.ofNullable(adapters.get(id)).filter(residents::contains);
    hits += adapter.isPresent() ? 1 : 0;
    return adapter.map(this::lease);
  }

  private AdapterLease lease(Adapter adapter) {
    adapter.leases++;
    residents.remove(adapter);
    residents.add(adapter);
    return new Lease(adapter);
  }

  /** A lease that refuses to be used once it is closed. */
  private final class Lease implements AdapterLease {
    private final Adapter adapter;
    private final Optional<LoraWeights> weights;
    private boolean closed;

    Lease(Adapter adapter) {
      this.adapter = adapter;
      weights =
          Optional.of(
              LoraWeights.of(
                  TARGET,
                  factor(0, adapter.rank()),
                  factor(adapter.rank(), 2 * adapter.rank()),
                  1));
    }

    private LoraFactor factor(int from, int to) {
      long[] offsets = IntStream.range(from, to).mapToLong(r -> rowOffset(adapter, r)).toArray();
      return new LoraFactor(ElementType.F32, WIDTH, 1, Device.HOST, pool.memory(), offsets);
    }

    @Override
    public AdapterSpec spec() {
      return adapter.spec;
    }

    @Override
    public Optional<LoraWeights> weights(TargetModule target) {
      if (closed) {
        throw new IllegalStateException(adapter.spec.id() + ": the lease is closed");
      }
      return target.equals(TARGET) ? weights : Optional.empty();
    }

    @Override
    public void close() {
      synchronized (FakeStore.this) {
        if (!closed) {
          closed = true;
          adapter.leases--;
          unloadIfUnused(adapter);
        }
      }
    }
  }

  @Override
  public void prefetch(Collection<String> ids) {}

  @Override
  public synchronized boolean unregister(String id) {
    Optional<Adapter> removed = Optional.ofNullable(adapters.remove(id));
    retire(removed);
    return removed.isPresent();
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
    return StoreStats.builder()
        .registered(adapters.size())
        .resident(residents.size())
        .leased(leased().size())
        .residentBytes(residents.stream().mapToLong(adapter -> adapter.spec.bytes()).sum())
        .residentPages(residents.stream().mapToInt(adapter -> adapter.pages.length).sum())
        .hits(hits)
        .loads(loads)
        .evictions(evictions)
        .build();
  }

  private List<String> leased() {
    return residents.stream()
        .filter(adapter -> adapter.leases > 0)
        .map(adapter -> adapter.spec.id())
        .toList();
  }

  @Override
  public synchronized void close() {
    pressure.close();
    List<String> leased = leased();
    List.copyOf(residents).forEach(this::unload);
    if (!leased.isEmpty()) {
      throw new IllegalStateException("store: closed with leases on " + leased);
    }
  }
}
