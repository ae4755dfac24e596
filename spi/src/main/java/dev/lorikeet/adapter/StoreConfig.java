package dev.lorikeet.adapter;

import dev.lorikeet.memory.PagePool;
import dev.lorikeet.shape.ModelShape;
import java.nio.file.Path;
import java.util.Map;
import java.util.Optional;

/**
 * How to open an adapter store.
 *
 * <p>Make one with {@link #of}: the canonical constructor may gain parameters.
 *
 * @param shape the base model's sizes; adapters that do not fit are refused at registration
 * @param pool where weights go; shared with the base model's KV cache; must outlive the store
 * @param model where the base model's files are, if that is known: an adapter may hold copies of
 *     its matrices, which change nothing and need not be kept
 * @param options settings of the chosen provider; an unknown key is refused
 */
public record StoreConfig(
    ModelShape shape, PagePool pool, Optional<Path> model, Map<String, String> options) {
  public StoreConfig {
    options = Map.copyOf(options);
  }

  /** Returns a configuration without options. */
  public static StoreConfig of(ModelShape shape, PagePool pool) {
    return new StoreConfig(shape, pool, Optional.empty(), Map.of());
  }

  /** Returns the same with these settings of the provider. */
  public StoreConfig withOptions(Map<String, String> options) {
    return new StoreConfig(shape, pool, model, options);
  }

  /** Returns the same for the model in this directory. */
  public StoreConfig withModel(Path directory) {
    return new StoreConfig(shape, pool, Optional.of(directory), options);
  }
}
