package dev.lorikeet.memory;

import dev.lorikeet.plugin.PluginProvider;

/** Opens page pools. Listed in {@code META-INF/services/dev.lorikeet.memory.PagePoolProvider}. */
public interface PagePoolProvider extends PluginProvider {
  /**
   * Opens a pool that the caller closes.
   *
   * @throws dev.lorikeet.LorikeetException with code {@code POOL_EXHAUSTED} if the memory cannot be
   *     had
   * @throws IllegalArgumentException if an option is unknown or out of range
   */
  PagePool open(PoolConfig config);
}
