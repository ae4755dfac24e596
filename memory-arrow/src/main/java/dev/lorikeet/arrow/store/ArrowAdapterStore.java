package dev.lorikeet.arrow.store;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.adapter.AdapterLease;
import dev.lorikeet.adapter.AdapterSource;
import dev.lorikeet.adapter.AdapterSpec;
import dev.lorikeet.adapter.AdapterStore;
import dev.lorikeet.adapter.AdapterText;
import dev.lorikeet.adapter.StoreConfig;
import dev.lorikeet.adapter.StoreStats;
import dev.lorikeet.files.Faults;
import dev.lorikeet.files.peft.PeftPlans;
import dev.lorikeet.files.peft.TrustedLinks;
import dev.lorikeet.memory.PagePool;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeSet;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.atomic.AtomicLong;

/**
 * Adapters in pages of the pool, read from PEFT directories. Registration reads the files once and
 * keeps the description; {@link #acquire} brings the weights into pages; under pressure the least
 * recently used adapters without leases leave them. Safe for use by any number of threads.
 */
public final class ArrowAdapterStore implements AdapterStore {
  /*
   * Idea: one lock guards who is registered, resident, pinned and idle; it is held for a few map and list operations
   * and never while files are read, pages are allocated or freed, or a load is awaited, so a load stalls nobody else.
   * The pool calls the store back while it allocates for it; since neither holds its lock then, there is no order of
   * locks to get wrong.
   * A registration is pinned before its load begins, so nothing can evict it between the end of the load and the return
   * of the lease. Unpinned resident registrations stand in a linked set, least recently used first: eviction takes from
   * its head, unpinning adds to its tail.
   * Cost: acquiring what is resident and closing a lease are O(1), one short lock each. A registered adapter costs its
   * name, path and one small object; equal descriptions are shared.
   * Paper: S-LoRA (arXiv 2311.03285), section 5.
   */
  private static final AtomicLong GENERATIONS = new AtomicLong();

  private static final int[] NOTHING = {};

  private final PagePool pool;
  private final AdapterLoader loader;
  private final LoadThreads threads;
  private final PagePool.Registration pressure;
  private final LoadDurations durations = new LoadDurations(GlobalTelemetry.orNoop());

  private final Object lock = new Object();
  private final Map<String, Registration> byName = new HashMap<>();
  private final LinkedHashSet<Registration> idle = new LinkedHashSet<>();
  private final LinkedHashSet<Registration> leased = new LinkedHashSet<>();
  private long residentBytes;
  private int residentPages;
  private long hits;
  private long loads;
  private long evictions;
  private boolean closed;

  /**
   * Opens a store that reads ahead with so many threads and keeps weights in such a type.
   *
   * @param plans what is asked of PEFT adapters
   * @param links where links out of their folders may lead
   */
  public ArrowAdapterStore(
      StoreConfig config, int prefetchThreads, KeptType kept, PeftPlans plans, TrustedLinks links) {
    pool = config.pool();
    if (!pool.device().isHost()) {
      throw new IllegalArgumentException(
          "adapter store plugin 'arrow': expected a page pool in host memory, found one on "
              + pool.device());
    }
    loader = new AdapterLoader(config, kept, plans, links);
    threads = new LoadThreads(prefetchThreads);
    pressure = pool.onPressure(this::evict);
  }

  @Override
  public AdapterSpec register(AdapterSource source) {
    synchronized (lock) {
      requireOpen();
    }
    var check = new Load<>(() -> loader.check(source));
    startNow(check);
    AdapterLoader.Sound sound = check.await();
    AdapterLoader.Checked checked = sound.weights();
    int[] freed;
    AdapterSpec spec;
    synchronized (lock) {
      requireOpen();
      spec =
          AdapterSpec.of(
              source.id(), GENERATIONS.incrementAndGet(), checked.targets(), checked.parts());
      Registration old =
          byName.put(
              source.id(), new Registration(spec, source.path(), checked.digest(), sound.text()));
      freed = old == null ? NOTHING : retire(old);
    }
    free(freed);
    return spec;
  }

  @Override
  public AdapterLease acquire(String id) {
    Registration registration;
    Load<Resident> load;
    synchronized (lock) {
      requireOpen();
      registration = byName.get(id);
      if (registration == null) {
        throw notFound(id);
      }
      pin(registration);
      if (registration.resident.isPresent()) {
        hits++;
        return lease(registration, registration.resident.get());
      }
      load = loadOf(registration);
    }
    try {
      startNow(load);
      return lease(registration, load.await());
    } catch (Throwable e) { // checked ones as well, which a pool in another language may throw
      unpin(registration);
      if (isReplaced(id, registration)) {
        return acquire(id); // its files had gone, and a new registration says where to look
      }
      throw e;
    }
  }

  private boolean isReplaced(String id, Registration registration) {
    synchronized (lock) {
      Registration now = byName.get(id);
      return now != null && now != registration;
    }
  }

  @Override
  public Optional<AdapterLease> acquireIfResident(String id) {
    synchronized (lock) {
      requireOpen();
      Registration registration = byName.get(id);
      if (registration == null || registration.resident.isEmpty()) {
        return Optional.empty();
      }
      pin(registration);
      hits++;
      return Optional.of(lease(registration, registration.resident.get()));
    }
  }

  @Override
  public void prefetch(Collection<String> ids) {
    List<Load<Resident>> wanted = new ArrayList<>();
    synchronized (lock) {
      requireOpen();
      for (String id : ids) {
        Registration registration = byName.get(id);
        if (registration != null
            && registration.resident.isEmpty()
            && registration.load.isEmpty()) {
          wanted.add(loadOf(registration));
        }
      }
    }
    for (Load<Resident> load : wanted) {
      try {
        threads.soon(load);
      } catch (RejectedExecutionException e) {
        load.cancel(closedNow());
      }
    }
  }

  @Override
  public boolean unregister(String id) {
    int[] freed;
    synchronized (lock) {
      requireOpen();
      Registration registration = byName.remove(id);
      if (registration == null) {
        return false;
      }
      freed = retire(registration);
    }
    free(freed);
    return true;
  }

  @Override
  public Optional<AdapterSpec> find(String id) {
    synchronized (lock) {
      requireOpen();
      return Optional.ofNullable(byName.get(id)).map(registration -> registration.spec);
    }
  }

  @Override
  public Optional<AdapterText> text(String id) {
    synchronized (lock) {
      requireOpen();
      return Optional.ofNullable(byName.get(id)).flatMap(registration -> registration.text);
    }
  }

  @Override
  public List<AdapterSpec> list() {
    List<AdapterSpec> specs = new ArrayList<>();
    synchronized (lock) {
      requireOpen();
      byName.values().forEach(registration -> specs.add(registration.spec));
    }
    specs.sort(Comparator.comparing(AdapterSpec::id));
    return List.copyOf(specs);
  }

  @Override
  public StoreStats stats() {
    synchronized (lock) {
      return StoreStats.builder()
          .registered(byName.size())
          .resident(idle.size() + leased.size())
          .leased(leased.size())
          .residentBytes(residentBytes)
          .residentPages(residentPages)
          .hits(hits)
          .loads(loads)
          .evictions(evictions)
          .build();
    }
  }

  @Override
  public void close() {
    List<int[]> freed = new ArrayList<>();
    synchronized (lock) {
      if (closed) {
        return;
      }
      closed = true;
      byName.values().forEach(registration -> freed.add(retire(registration)));
      byName.clear();
    }
    try (threads) {
      pressure.close();
    } finally {
      freeAll(freed);
    }
    TreeSet<String> names = new TreeSet<>();
    synchronized (lock) {
      leased.forEach(registration -> names.add(registration.spec.id()));
    }
    if (!names.isEmpty()) {
      throw new IllegalStateException(
          "adapter store: expected no open lease at close, found leases on " + names);
    }
  }

  /** Frees pages of idle adapters, least recently used first; called by the pool. */
  private int evict(int wanted) {
    List<int[]> victims = new ArrayList<>();
    int pages = 0;
    synchronized (lock) {
      while (pages < wanted && !idle.isEmpty()) {
        int[] taken = takeWeights(idle.getFirst());
        evictions++;
        victims.add(taken);
        pages += taken.length;
      }
    }
    freeAll(victims);
    return pages;
  }

  /** Returns the load under way, or a new one that the caller starts. Holds the lock. */
  private Load<Resident> loadOf(Registration registration) {
    if (registration.load.isEmpty()) {
      registration.load = Optional.of(new Load<>(() -> load(registration)));
    }
    return registration.load.get();
  }

  private Resident load(Registration registration) {
    Optional<Resident> loaded = Optional.empty();
    try {
      synchronized (lock) {
        if (registration.retired && registration.pins == 0) {
          throw closedNow(); // a hint that nobody needs any more
        }
      }
      AdapterSpec spec = registration.spec;
      var registered = new AdapterLoader.Checked(spec.targets(), spec.parts(), registration.digest);
      loaded = Optional.of(durations.time(() -> loader.load(registration.path, registered)));
      return loaded.get();
    } finally {
      free(settle(registration, loaded));
    }
  }

  /** Ends a load; returns the pages that nobody wants any more. */
  private int[] settle(Registration registration, Optional<Resident> loaded) {
    synchronized (lock) {
      registration.load = Optional.empty();
      if (loaded.isEmpty()) {
        return NOTHING;
      }
      loads++;
      registration.resident = loaded;
      residentBytes += registration.spec.bytes();
      residentPages += loaded.get().pages().length;
      if (registration.pins > 0) {
        leased.add(registration);
        return NOTHING;
      }
      idle.add(registration);
      return registration.retired ? takeWeights(registration) : NOTHING;
    }
  }

  private AdapterLease lease(Registration registration, Resident resident) {
    return new Lease(registration.spec, resident.table(), () -> unpin(registration));
  }

  /** Keeps a registration from eviction. Holds the lock. */
  private void pin(Registration registration) {
    if (registration.pins++ == 0 && registration.resident.isPresent()) {
      idle.remove(registration);
      leased.add(registration);
    }
  }

  private void unpin(Registration registration) {
    int[] freed = NOTHING;
    synchronized (lock) {
      if (--registration.pins == 0 && registration.resident.isPresent()) {
        leased.remove(registration);
        idle.add(registration);
        if (registration.retired) {
          freed = takeWeights(registration);
        }
      }
    }
    free(freed);
  }

  /** Marks a registration as gone; returns the pages to free now. Holds the lock. */
  private int[] retire(Registration registration) {
    registration.retired = true;
    registration.text = Optional.empty();
    return idle.contains(registration) ? takeWeights(registration) : NOTHING;
  }

  /** Takes the pages of an idle registration away. Holds the lock; the caller frees them later. */
  private int[] takeWeights(Registration registration) {
    int[] pages = registration.resident.orElseThrow().pages();
    idle.remove(registration);
    registration.resident = Optional.empty();
    residentBytes -= registration.spec.bytes();
    residentPages -= pages.length;
    return pages;
  }

  private void free(int[] pages) {
    if (pages.length > 0) {
      pool.free(pages, 0, pages.length);
    }
  }

  /** Frees everything, whatever the pool throws at one of them. */
  private void freeAll(List<int[]> lists) {
    for (int i = 0; i < lists.size(); i++) {
      try {
        free(lists.get(i));
      } catch (Throwable e) { // checked ones as well, which a pool in another language may throw
        freeAll(lists.subList(i + 1, lists.size()));
        throw e;
      }
    }
  }

  private void startNow(Load<?> load) {
    if (load.hasStarted()) {
      return;
    }
    try {
      threads.now(load);
    } catch (RejectedExecutionException e) {
      load.cancel(closedNow());
    }
  }

  private void requireOpen() {
    if (closed) {
      throw new IllegalStateException("adapter store: expected an open store, found a closed one");
    }
  }

  private static LorikeetException closedNow() {
    return new LorikeetException(
        LorikeetException.Code.CLOSED, "adapter store: closed while the adapter was read");
  }

  private static LorikeetException notFound(String id) {
    return new LorikeetException(
        LorikeetException.Code.ADAPTER_NOT_FOUND,
        "adapter '" + Faults.show(id) + "': expected a registered name, found none of that name");
  }
}
