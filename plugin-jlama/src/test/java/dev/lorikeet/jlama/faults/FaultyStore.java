package dev.lorikeet.jlama.faults;

import dev.lorikeet.adapter.AdapterLease;
import dev.lorikeet.adapter.AdapterSource;
import dev.lorikeet.adapter.AdapterSpec;
import dev.lorikeet.adapter.AdapterStore;
import dev.lorikeet.adapter.LoraWeights;
import dev.lorikeet.adapter.StoreStats;
import dev.lorikeet.jlama.faults.Faults.Party;
import dev.lorikeet.shape.TargetModule;
import java.util.Collection;
import java.util.List;
import java.util.Optional;

/** A store that throws, and so do its leases. */
record FaultyStore(AdapterStore store, Faults faults) implements AdapterStore {
  /** A lease that throws; its identity counts. */
  private static final class Lease implements AdapterLease {
    private final AdapterLease lease;
    private final Faults faults;

    Lease(AdapterLease lease, Faults faults) {
      this.lease = lease;
      this.faults = faults;
    }

    @Override
    public AdapterSpec spec() {
      faults.at(Party.STORE, "spec");
      return lease.spec();
    }

    @Override
    public Optional<LoraWeights> weights(TargetModule target) {
      faults.at(Party.STORE, "weights");
      return lease.weights(target);
    }

    @Override
    public void close() {
      lease.close();
      faults.at(Party.STORE, "the end of a lease");
    }
  }

  @Override
  public AdapterSpec register(AdapterSource source) {
    faults.at(Party.STORE, "register");
    return store.register(source);
  }

  @Override
  public AdapterLease acquire(String id) {
    faults.at(Party.STORE, "acquire");
    return new Lease(store.acquire(id), faults);
  }

  @Override
  public Optional<AdapterLease> acquireIfResident(String id) {
    faults.at(Party.STORE, "acquireIfResident");
    return store.acquireIfResident(id).map(lease -> new Lease(lease, faults));
  }

  @Override
  public void prefetch(Collection<String> ids) {
    faults.at(Party.STORE, "prefetch");
    store.prefetch(ids);
  }

  @Override
  public boolean unregister(String id) {
    faults.at(Party.STORE, "unregister");
    return store.unregister(id);
  }

  @Override
  public Optional<AdapterSpec> find(String id) {
    faults.at(Party.STORE, "find");
    return store.find(id);
  }

  @Override
  public List<AdapterSpec> list() {
    faults.at(Party.STORE, "list");
    return store.list();
  }

  @Override
  public StoreStats stats() {
    return store.stats();
  }

  @Override
  public void close() {
    faults.closed(store, store.stats().leased(), "leased adapters");
    store.close();
    faults.at(Party.STORE, "close");
  }
}
