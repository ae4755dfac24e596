package dev.lorikeet.host.serving;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.adapter.AdapterLease;
import dev.lorikeet.adapter.AdapterStore;
import dev.lorikeet.adapter.TargetSpec;
import dev.lorikeet.host.telemetry.RequestTrace;
import dev.lorikeet.shape.TargetModule;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.RejectedExecutionException;
import java.util.function.Consumer;

/**
 * Acquires leases without stalling the decoding thread: at once where the weights are in memory,
 * else on a loader thread.
 */
final class AdapterLoader implements AutoCloseable {
  /** What became of an attempt. */
  sealed interface Outcome {
    /** All leases are here; the receiver closes them. */
    record Leased(List<AdapterLease> leases) implements Outcome {}

    /** There is no room in the pool now. */
    record NoRoom(LorikeetException reason) implements Outcome {}

    /** It will not work later either. */
    record Failed(LorikeetException reason) implements Outcome {}
  }

  private static final int THREADS = 2;

  private static final System.Logger LOGGER = System.getLogger(AdapterLoader.class.getName());

  private final AdapterStore store;
  private final ExecutorService threads;

  AdapterLoader(AdapterStore store) {
    this(
        store,
        Executors.newFixedThreadPool(
            THREADS, Thread.ofPlatform().daemon().name("lorikeet-loader-", 0).factory()));
  }

  /** Loads on the given threads, which it closes in the end. */
  AdapterLoader(AdapterStore store, ExecutorService threads) {
    this.store = store;
    this.threads = threads;
  }

  /**
   * Acquires all adapters if all are in memory, and none that whoever loads them has to tell
   * something of.
   */
  Optional<List<AdapterLease>> acquireIfResident(List<String> adapters) {
    List<AdapterLease> leases = new ArrayList<>(adapters.size());
    try {
      for (String adapter : adapters) {
        Optional<AdapterLease> lease = store.acquireIfResident(adapter);
        lease.ifPresent(leases::add);
        if (lease.isEmpty() || foreign(lease.get()).isPresent()) {
          close(leases);
          return Optional.empty();
        }
      }
      return Optional.of(leases);
    } catch (Throwable e) { // the store's own failure, which is not to end the decoding thread
      LOGGER.log(System.Logger.Level.WARNING, "an adapter store failed, and is asked again", e);
      close(leases);
      return Optional.empty();
    }
  }

  /** Closes leases, all of them; a store that fails at that is to blame for what it keeps. */
  static void close(List<AdapterLease> leases) {
    for (AdapterLease lease : leases) {
      try {
        lease.close();
      } catch (Throwable e) {
        LOGGER.log(System.Logger.Level.ERROR, "an adapter store could not close a lease", e);
      }
    }
  }

  /** Acquires all adapters or none on a loader thread and tells the outcome there. */
  void load(List<String> adapters, RequestTrace trace, Consumer<Outcome> receiver) {
    try {
      threads.execute(() -> receiver.accept(acquire(adapters, trace)));
    } catch (RejectedExecutionException e) {
      receiver.accept(
          new Outcome.Failed(new LorikeetException(Code.CLOSED, "the model was closed", e)));
    }
  }

  private Outcome acquire(List<String> adapters, RequestTrace trace) {
    List<AdapterLease> leases = new ArrayList<>(adapters.size());
    try {
      for (String adapter : adapters) {
        AdapterLease lease = trace.adapterLoad(adapter, () -> store.acquire(adapter));
        leases.add(lease);
        Optional<TargetModule> foreign = foreign(lease);
        if (foreign.isPresent()) {
          throw new LorikeetException(
              Code.ADAPTER_UNSUPPORTED,
              "adapter '"
                  + adapter
                  + "': expected to change linear layers of decoder blocks alone, found "
                  + foreign.get());
        }
      }
      return new Outcome.Leased(leases);
    } catch (LorikeetException e) {
      close(leases);
      return e.code() == Code.POOL_EXHAUSTED ? new Outcome.NoRoom(e) : new Outcome.Failed(e);
    } catch (Throwable e) { // checked ones as well, which other languages do not declare
      close(leases);
      return new Outcome.Failed(failed(e));
    }
  }

  /** Returns what a request is told that a store has failed. */
  static LorikeetException failed(Throwable e) {
    return new LorikeetException(Code.INTERNAL, "adapter store failed: " + e, e);
  }

  /** Returns a module that a step would pass over in silence: of an expert, or of no block. */
  private static Optional<TargetModule> foreign(AdapterLease lease) {
    for (TargetSpec spec : lease.spec().targets()) {
      if (spec.target().isExpert() || !spec.target().projection().isOfLayer()) {
        return Optional.of(spec.target());
      }
    }
    return Optional.empty();
  }

  /** Waits for attempts under way. */
  @Override
  public void close() {
    threads.close();
  }
}
