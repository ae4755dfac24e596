package dev.lorikeet.adapter;

import dev.lorikeet.memory.PagePool;
import dev.lorikeet.shape.ModelShape;
import java.util.Map;

/**
 * How to open an adapter store.
 *
 * <p>Make one with {@link #of}: the canonical constructor may gain parameters.
 *
 * @param shape the base model's sizes; adapters that do not fit are refused at registration
 * @param pool where weights go; shared with the base model's KV cache; must outlive the store
 * @param options settings of the chosen provider; an unknown key is refused
 */
public record StoreConfig(ModelShape shape, PagePool pool, Map<String, String> options) {
  public StoreConfig {
    options = Map.copyOf(options);
  }

  /** Returns a configuration without options. */
  public static StoreConfig of(ModelShape shape, PagePool pool) {
    return new StoreConfig(shape, pool, Map.of());
  }

  /** Returns the same with these settings of the provider. */
  public StoreConfig withOptions(Map<String, String> options) {
    return new StoreConfig(shape, pool, options);
  }
}
