package dev.lorikeet.executor;

import dev.lorikeet.plugin.PluginProvider;

/**
 * Opens LoRA executors. Listed in {@code
 * META-INF/services/dev.lorikeet.executor.LoraExecutorProvider}.
 */
public interface LoraExecutorProvider extends PluginProvider {
  /**
   * Opens an executor that the caller closes.
   *
   * @throws dev.lorikeet.LorikeetException with code {@code PLUGIN_UNAVAILABLE} if {@link
   *     #availability()} says that it cannot work here
   * @throws IllegalArgumentException if an option is unknown or out of range
   */
  LoraExecutor open(ExecutorConfig config);
}
