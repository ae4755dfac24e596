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
        TargetSpec.builder(TargetModule.of(0, Projection.Q))
            .rank(1)
            .inFeatures(8)
            .outFeatures(8)
            .scaling(1f)
            .type(ElementType.F32)
            .build();
    AdapterSpec spec = AdapterSpec.of(source.id(), adapters.size() + 1L, List.of(target));
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
    return StoreStats.builder().registered(adapters.size()).build();
  }

  @Override
  public void close() {}
}
