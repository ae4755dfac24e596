package dev.lorikeet.conformance.store;

import static dev.lorikeet.conformance.Mutant.rules;
import static dev.lorikeet.conformance.store.StoreMutants.store;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.adapter.AdapterLease;
import dev.lorikeet.adapter.AdapterSource;
import dev.lorikeet.adapter.AdapterSpec;
import dev.lorikeet.adapter.LoraWeights;
import dev.lorikeet.adapter.StoreConfig;
import dev.lorikeet.conformance.Mutant;
import dev.lorikeet.conformance.files.ReferencePeft;
import dev.lorikeet.memory.PageOwner;
import dev.lorikeet.memory.PagePool;
import dev.lorikeet.shape.TargetModule;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicInteger;

/** Adapter stores with one fault each in leases, eviction and closing: rules S9 to S17. */
final class StoreLeaseMutants {
  private StoreLeaseMutants() {}

  static List<Mutant> all() {
    return List.of(
        store(
            "unknown names answered by another exception",
            rules("S9"),
            rules("S4", "S12", "S16"),
            NoCode::new),
        store(
            "leased adapters evicted", rules("S10"), rules("S9", "S13", "S16"), EvictsLeased::new),
        store(
            "pages taken for filled after an eviction",
            rules("S13"),
            rules("S10", "S16", "S9"),
            StalePages::new),
        store(
            "a name registered anew keeps its first weights",
            rules("S11"),
            rules(),
            KeepsFirst::new),
        store("one generation for all", rules("S11"), rules("S1"), OneGeneration::new),
        store(
            "weights freed under a lease",
            rules("S12"),
            rules("S10", "S11", "S16"),
            FreesUnderLease::new),
        store("unregister always says yes", rules("S12"), rules(), AlwaysYes::new),
        store("the most recently used evicted first", rules("S13"), rules(), MostRecentFirst::new),
        store("a second close counts again", rules("S14"), rules(), CountsAgain::new),
        store("closed leases serve weights", rules("S14"), rules(), ServesAfterClose::new),
        store("acquireIfResident reads files", rules("S15"), rules("S13"), ReadsAnyway::new),
        store("prefetch throws", rules("S15"), rules("S16"), PrefetchThrows::new),
        store("leases lost between threads", rules("S16"), rules(), LosesLeases::new),
        store("pages kept at close", rules("S17"), rules(), KeepsPages::new),
        store("silence about leases at close", rules("S17"), rules(), SilentClose::new));
  }

  private static final class NoCode extends ReferenceStore {
    NoCode(StoreConfig config) {
      super(config);
    }

    @Override
    public synchronized AdapterLease acquire(String id) {
      try {
        return super.acquire(id);
      } catch (LorikeetException e) {
        throw e.code() == Code.ADAPTER_NOT_FOUND
            ? new IllegalArgumentException("no adapter " + id, e)
            : e;
      }
    }
  }

  private static final class EvictsLeased extends ReferenceStore {
    EvictsLeased(StoreConfig config) {
      super(config);
    }

    @Override
    synchronized int reclaim(int wanted) {
      int freed = super.reclaim(wanted);
      if (freed < wanted) {
        for (Adapter adapter : leasedOnes) {
          freed += adapter.pages.length;
          unload(adapter);
        }
        leasedOnes.clear();
      }
      return freed;
    }

    private final List<Adapter> leasedOnes = new ArrayList<>();

    @Override
    AdapterLease lease(Adapter adapter) {
      leasedOnes.add(adapter);
      return super.lease(adapter);
    }

    @Override
    void release(Adapter adapter) {
      leasedOnes.remove(adapter);
      super.release(adapter);
    }
  }

  private static final class StalePages extends ReferenceStore {
    private final PagePool pool;
    private final Map<Long, Map<TargetModule, LoraWeights>> kept = new HashMap<>();
    private final Map<Long, Integer> sizes = new HashMap<>();

    StalePages(StoreConfig config) {
      super(config);
      pool = config.pool();
    }

    @Override
    void load(Adapter adapter) {
      long generation = adapter.spec.generation();
      if (!kept.containsKey(generation)) {
        super.load(adapter);
        kept.put(generation, adapter.weights);
        sizes.put(generation, adapter.pages.length);
        return;
      }
      int[] pages = new int[sizes.getOrDefault(generation, 0)];
      if (!pool.allocate(PageOwner.ADAPTER, pages, 0, pages.length)) {
        throw new LorikeetException(Code.POOL_EXHAUSTED, "no room");
      }
      adapter.pages = pages;
      adapter.weights = kept.getOrDefault(generation, Map.of());
    }
  }

  private static final class KeepsFirst extends ReferenceStore {
    private final Map<String, Path> first = new HashMap<>();

    KeepsFirst(StoreConfig config) {
      super(config);
    }

    @Override
    public synchronized AdapterSpec register(AdapterSource source) {
      Optional<Path> before = find(source.id()).map(s -> first.getOrDefault(s.id(), source.path()));
      AdapterSpec spec =
          super.register(new AdapterSource(source.id(), before.orElse(source.path())));
      first.put(source.id(), before.orElse(source.path()));
      return spec;
    }

    @Override
    List<ReferencePeft.Module> read(Path path) {
      return super.read(path);
    }
  }

  private static final class OneGeneration extends ReferenceStore {
    OneGeneration(StoreConfig config) {
      super(config);
    }

    @Override
    long nextGeneration() {
      return 1;
    }
  }

  private static final class FreesUnderLease extends ReferenceStore {
    FreesUnderLease(StoreConfig config) {
      super(config);
    }

    @Override
    void retire(Adapter adapter) {
      adapter.registered = false;
      unload(adapter);
    }
  }

  private static final class AlwaysYes extends ReferenceStore {
    AlwaysYes(StoreConfig config) {
      super(config);
    }

    @Override
    public synchronized boolean unregister(String id) {
      super.unregister(id);
      return true;
    }
  }

  private static final class MostRecentFirst extends ReferenceStore {
    MostRecentFirst(StoreConfig config) {
      super(config);
    }

    @Override
    List<Adapter> victims(List<Adapter> byLastUse) {
      return byLastUse.reversed();
    }
  }

  private abstract static class Wraps extends ReferenceStore {
    Wraps(StoreConfig config) {
      super(config);
    }

    abstract AdapterLease wrapped(AdapterLease lease, Adapter adapter);

    @Override
    AdapterLease lease(Adapter adapter) {
      return wrapped(super.lease(adapter), adapter);
    }
  }

  private static final class CountsAgain extends Wraps {
    CountsAgain(StoreConfig config) {
      super(config);
    }

    @Override
    AdapterLease wrapped(AdapterLease lease, Adapter adapter) {
      return new AdapterLease() {
        private boolean closed;

        @Override
        public AdapterSpec spec() {
          return lease.spec();
        }

        @Override
        public Optional<LoraWeights> weights(TargetModule target) {
          return lease.weights(target);
        }

        @Override
        public void close() {
          synchronized (CountsAgain.this) {
            if (closed) {
              release(adapter);
            }
            closed = true;
            lease.close();
          }
        }
      };
    }
  }

  private static final class ServesAfterClose extends Wraps {
    ServesAfterClose(StoreConfig config) {
      super(config);
    }

    @Override
    AdapterLease wrapped(AdapterLease lease, Adapter adapter) {
      return new AdapterLease() {
        @Override
        public AdapterSpec spec() {
          return lease.spec();
        }

        @Override
        public Optional<LoraWeights> weights(TargetModule target) {
          return Optional.ofNullable(adapter.weights.get(target));
        }

        @Override
        public void close() {
          lease.close();
        }
      };
    }
  }

  private static final class ReadsAnyway extends ReferenceStore {
    ReadsAnyway(StoreConfig config) {
      super(config);
    }

    @Override
    public synchronized Optional<AdapterLease> acquireIfResident(String id) {
      if (find(id).isEmpty()) {
        return Optional.empty();
      }
      try {
        return Optional.of(acquire(id));
      } catch (LorikeetException e) {
        return Optional.empty();
      }
    }
  }

  private static final class PrefetchThrows extends ReferenceStore {
    PrefetchThrows(StoreConfig config) {
      super(config);
    }

    @Override
    public void prefetch(Collection<String> ids) {
      ids.forEach(id -> acquire(id).close());
    }
  }

  private static final class LosesLeases extends ReferenceStore {
    private final AtomicInteger inside = new AtomicInteger();

    LosesLeases(StoreConfig config) {
      super(config);
    }

    @Override
    @SuppressWarnings("UnsynchronizedOverridesSynchronized") // The fault.
    public AdapterLease acquire(String id) {
      int others = inside.getAndIncrement();
      try {
        AdapterLease lease = super.acquire(id);
        if (others > 0) {
          super.acquire(id);
        }
        return lease;
      } finally {
        inside.decrementAndGet();
      }
    }
  }

  private static final class KeepsPages extends ReferenceStore {
    private boolean closing;

    KeepsPages(StoreConfig config) {
      super(config);
    }

    @Override
    void unload(Adapter adapter) {
      if (!closing || adapter.leases > 0) {
        super.unload(adapter);
      }
    }

    @Override
    public synchronized void close() {
      closing = true;
      try {
        super.close();
      } catch (IllegalStateException e) {
        if (stats().leased() > 0) {
          throw e;
        }
      }
    }
  }

  private static final class SilentClose extends ReferenceStore {
    SilentClose(StoreConfig config) {
      super(config);
    }

    @Override
    public synchronized void close() {
      try {
        super.close();
      } catch (IllegalStateException e) {
        // Nobody is told.
      }
    }
  }
}
