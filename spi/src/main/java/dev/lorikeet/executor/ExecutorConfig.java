package dev.lorikeet.executor;

import java.util.Map;

/**
 * How to open an executor.
 *
 * <p>Make one with {@link #of}: the canonical constructor may gain parameters.
 *
 * @param workers the threads that the host lends; an executor that computes on the host runs on
 *     these and starts none of its own
 * @param options settings of the chosen provider; an unknown key is refused
 */
public record ExecutorConfig(Workers workers, Map<String, String> options) {
  public ExecutorConfig {
    options = Map.copyOf(options);
  }

  /** Returns a configuration without options. */
  public static ExecutorConfig of(Workers workers) {
    return new ExecutorConfig(workers, Map.of());
  }

  /** Returns the same with these settings of the provider. */
  public ExecutorConfig withOptions(Map<String, String> options) {
    return new ExecutorConfig(workers, options);
  }
}
