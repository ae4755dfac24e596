package dev.lorikeet.executor;

import java.util.Map;

/**
 * How to open an executor.
 *
 * @param workers the threads that the host lends; an executor that computes on the host runs on
 *     these and starts none of its own
 * @param options settings of the chosen provider; an unknown key is refused
 */
public record ExecutorConfig(Workers workers, Map<String, String> options) {
  public ExecutorConfig {
    options = Map.copyOf(options);
  }
}
