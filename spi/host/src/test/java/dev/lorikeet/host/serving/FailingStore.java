package dev.lorikeet.host.serving;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.adapter.AdapterLease;
import dev.lorikeet.adapter.AdapterSource;
import dev.lorikeet.adapter.AdapterSpec;
import dev.lorikeet.adapter.AdapterStore;
import dev.lorikeet.adapter.StoreStats;
import java.util.Collection;
import java.util.List;
import java.util.Optional;
import java.util.function.Predicate;

/** A store whose loads fail when a test says so. */
class FailingStore implements AdapterStore {
  private final AdapterStore store;
  private Predicate<String> fails = id -> false;

  FailingStore(AdapterStore store) {
    this.store = store;
  }

  /** Sets which loads fail from now on. */
  void failWhen(Predicate<String> condition) {
    fails = condition;
  }

  @Override
  public AdapterLease acquire(String id) {
    if (fails.test(id)) {
      throw new LorikeetException(
          LorikeetException.Code.ADAPTER_INVALID, "adapter '" + id + "': failed by the test");
    }
    return store.acquire(id);
  }

  @Override
  public AdapterSpec register(AdapterSource source) {
    return store.register(source);
  }

  @Override
  public Optional<AdapterLease> acquireIfResident(String id) {
    return store.acquireIfResident(id);
  }

  @Override
  public void prefetch(Collection<String> ids) {
    store.prefetch(ids);
  }

  @Override
  public boolean unregister(String id) {
    return store.unregister(id);
  }

  @Override
  public Optional<AdapterSpec> find(String id) {
    return store.find(id);
  }

  @Override
  public List<AdapterSpec> list() {
    return store.list();
  }

  @Override
  public StoreStats stats() {
    return store.stats();
  }

  @Override
  public void close() {
    store.close();
  }
}
