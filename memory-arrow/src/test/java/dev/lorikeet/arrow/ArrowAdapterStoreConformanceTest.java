package dev.lorikeet.arrow;

import dev.lorikeet.adapter.AdapterStore;
import dev.lorikeet.adapter.AdapterStoreProvider;
import dev.lorikeet.adapter.StoreConfig;
import dev.lorikeet.conformance.AdapterStoreConformance;
import java.util.Optional;

class ArrowAdapterStoreConformanceTest extends AdapterStoreConformance {
  @Override
  protected AdapterStore createStore(StoreConfig config) {
    return new ArrowAdapterStoreProvider().open(config);
  }

  @Override
  protected Optional<AdapterStoreProvider> provider() {
    return Optional.of(new ArrowAdapterStoreProvider());
  }
}
