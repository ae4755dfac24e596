package dev.lorikeet.conformance;

import dev.lorikeet.conformance.pool.PoolRules;
import dev.lorikeet.memory.PagePool;
import dev.lorikeet.memory.PagePoolProvider;
import dev.lorikeet.memory.PoolConfig;
import java.util.Optional;

/**
 * Rules P1 to P12 as tests. Extend it with {@link #createPool}; override {@link #provider} to have
 * the provider's rules checked as well.
 */
public abstract class PagePoolConformance extends PoolRules {
  /** For subclasses. */
  protected PagePoolConformance() {}

  /** Opens a pool that the suite closes. */
  @Override
  protected abstract PagePool createPool(PoolConfig config);

  /** Returns the provider of the pool, if the provider's rules are to be checked. */
  @Override
  protected Optional<PagePoolProvider> provider() {
    return Optional.empty();
  }
}
