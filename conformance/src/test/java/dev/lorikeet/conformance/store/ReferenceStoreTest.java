package dev.lorikeet.conformance.store;

import dev.lorikeet.adapter.AdapterStore;
import dev.lorikeet.adapter.StoreConfig;
import dev.lorikeet.conformance.AdapterStoreConformance;

class ReferenceStoreTest extends AdapterStoreConformance {
  @Override
  protected AdapterStore createStore(StoreConfig config) {
    return new ReferenceStore(config);
  }
}
