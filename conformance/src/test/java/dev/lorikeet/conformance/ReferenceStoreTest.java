package dev.lorikeet.conformance;

import dev.lorikeet.adapter.AdapterStore;
import dev.lorikeet.adapter.StoreConfig;

class ReferenceStoreTest extends AdapterStoreConformance {
  @Override
  protected AdapterStore createStore(StoreConfig config) {
    return new ReferenceStore(config);
  }
}
