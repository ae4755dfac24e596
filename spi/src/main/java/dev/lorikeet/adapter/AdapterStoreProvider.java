package dev.lorikeet.adapter;

import dev.lorikeet.plugin.PluginProvider;

/**
 * Opens adapter stores. Listed in {@code
 * META-INF/services/dev.lorikeet.adapter.AdapterStoreProvider}.
 */
public interface AdapterStoreProvider extends PluginProvider {
  /**
   * Opens a store that the caller closes, before the pool.
   *
   * @throws IllegalArgumentException if an option is unknown or out of range
   */
  AdapterStore open(StoreConfig config);
}
