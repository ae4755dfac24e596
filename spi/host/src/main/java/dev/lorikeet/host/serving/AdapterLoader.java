package dev.lorikeet.host.serving;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.adapter.AdapterLease;
import dev.lorikeet.adapter.AdapterSpec;
import dev.lorikeet.adapter.AdapterStore;
import dev.lorikeet.host.step.StepDecoder;
import dev.lorikeet.host.telemetry.RequestTrace;
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
  private final StepDecoder decoder;
  private final ExecutorService threads;

  AdapterLoader(AdapterStore store, StepDecoder decoder) {
    this(
        store,
        decoder,
        Executors.newFixedThreadPool(
            THREADS, Thread.ofPlatform().daemon().name("lorikeet-loader-", 0).factory()));
  }

  /** Loads on the given threads, which it closes in the end. */
  AdapterLoader(AdapterStore store, StepDecoder decoder, ExecutorService threads) {
    this.store = store;
    this.decoder = decoder;
    this.threads = threads;
  }

  /**
   * Acquires all adapters if all are in memory and ready, and none that whoever loads them has to
   * tell something of.
   */
  Optional<List<AdapterLease>> acquireIfResident(List<String> adapters) {
    List<AdapterLease> leases = new ArrayList<>(adapters.size());
    try {
      for (String adapter : adapters) {
        Optional<AdapterLease> lease = store.acquireIfResident(adapter);
        lease.ifPresent(leases::add);
        Optional<AdapterLease> ready =
            lease.isEmpty() || decoder.refusal(lease.get().spec()).isPresent()
                ? Optional.empty()
                : decoder.prepareAtOnce(lease.get());
        if (ready.isEmpty()) {
          close(leases);
          return Optional.empty();
        }
        leases.set(leases.size() - 1, ready.get());
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
        Optional<LorikeetException> refused = refused(decoder, lease.spec());
        if (refused.isPresent()) {
          throw refused.get();
        }
        leases.set(leases.size() - 1, decoder.prepare(lease));
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

  /** Returns what a request is told of an adapter that the decoder can't apply. */
  static Optional<LorikeetException> refused(StepDecoder decoder, AdapterSpec adapter) {
    return decoder
        .refusal(adapter)
        .map(
            why ->
                new LorikeetException(
                    Code.ADAPTER_UNSUPPORTED, "adapter '" + adapter.id() + "': expected " + why));
  }

  /** Waits for attempts under way. */
  @Override
  public void close() {
    threads.close();
  }
}
