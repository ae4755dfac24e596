package dev.lorikeet.conformance;

import dev.lorikeet.adapter.AdapterStore;
import dev.lorikeet.adapter.AdapterStoreProvider;
import dev.lorikeet.adapter.StoreConfig;
import dev.lorikeet.conformance.store.StoreRules;
import java.util.Optional;

/**
 * Rules S1 to S17 as tests. Extend it with {@link #createStore}; override {@link #provider} to have
 * the provider's rules checked as well. The suite writes the adapters itself, and lends a pool.
 */
public abstract class AdapterStoreConformance extends StoreRules {
  /** For subclasses. */
  protected AdapterStoreConformance() {}

  /** Opens a store that the suite closes. */
  @Override
  protected abstract AdapterStore createStore(StoreConfig config);

  /** Returns the provider of the store, if the provider's rules are to be checked. */
  @Override
  protected Optional<AdapterStoreProvider> provider() {
    return Optional.empty();
  }
}
