package dev.lorikeet.cli.fake;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.adapter.AdapterLease;
import dev.lorikeet.adapter.AdapterSource;
import dev.lorikeet.adapter.AdapterSpec;
import dev.lorikeet.adapter.AdapterStore;
import dev.lorikeet.adapter.StoreStats;
import dev.lorikeet.adapter.TargetSpec;
import dev.lorikeet.shape.Projection;
import dev.lorikeet.shape.TargetModule;
import dev.lorikeet.tensor.ElementType;
import java.nio.file.Files;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ConcurrentSkipListMap;

/** A store that knows names and no weights. */
final class FakeStore implements AdapterStore {
  private final Map<String, AdapterSpec> adapters = new ConcurrentSkipListMap<>();

  @Override
  public AdapterSpec register(AdapterSource source) {
    if (!Files.isDirectory(source.path())) {
      throw new LorikeetException(
          LorikeetException.Code.ADAPTER_INVALID,
          source.path() + ": expected an adapter directory, found none");
    }
    TargetSpec target =
        new TargetSpec(new TargetModule(0, Projection.Q), 1, 8, 8, 1f, 1, 1, ElementType.F32);
    AdapterSpec spec = new AdapterSpec(source.id(), adapters.size() + 1L, List.of(target));
    adapters.put(source.id(), spec);
    return spec;
  }

  @Override
  public AdapterLease acquire(String id) {
    throw new UnsupportedOperationException();
  }

  @Override
  public Optional<AdapterLease> acquireIfResident(String id) {
    return Optional.empty();
  }

  @Override
  public void prefetch(Collection<String> ids) {}

  @Override
  public boolean unregister(String id) {
    return adapters.remove(id) != null;
  }

  @Override
  public Optional<AdapterSpec> find(String id) {
    return Optional.ofNullable(adapters.get(id));
  }

  @Override
  public List<AdapterSpec> list() {
    return List.copyOf(adapters.values());
  }

  @Override
  public StoreStats stats() {
    return new StoreStats(adapters.size(), 0, 0, 0, 0, 0, 0, 0);
  }

  @Override
  public void close() {}
}
