package dev.lorikeet.arrow;

import dev.lorikeet.arrow.pool.ArrowPagePool;
import dev.lorikeet.memory.PagePool;
import dev.lorikeet.memory.PagePoolProvider;
import dev.lorikeet.memory.PoolConfig;
import dev.lorikeet.plugin.Availability;
import dev.lorikeet.plugin.Options;

/**
 * Opens page pools on one Apache Arrow allocation each, from memory that {@code java.lang.foreign}
 * manages.
 *
 * <p>Option {@code pretouch} ({@code true} or {@code false}, default {@code false}): whether to
 * write all memory when the pool is opened, so that the system provides it then and not while
 * requests run.
 */
public final class ArrowPagePoolProvider implements PagePoolProvider {
  private static final String PRETOUCH = "pretouch";

  /** Creates the provider; does no work. */
  public ArrowPagePoolProvider() {}

  @Override
  public String name() {
    return "arrow";
  }

  @Override
  public int priority() {
    return 50;
  }

  @Override
  public Availability availability() {
    return ArrowAvailability.check();
  }

  @Override
  public PagePool open(PoolConfig config) {
    Options options = Options.of("page pool plugin 'arrow'", config.options(), PRETOUCH);
    return ArrowPagePool.open(config, options.flag(PRETOUCH, false));
  }
}
