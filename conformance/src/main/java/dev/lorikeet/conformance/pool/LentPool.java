package dev.lorikeet.conformance.pool;

import dev.lorikeet.memory.PoolConfig;

/** A pool that the suite lends: a leak is for the rules on leaks to find, not for its close. */
public final class LentPool extends ReferencePool {
  public LentPool(PoolConfig config) {
    super(config);
  }

  @Override
  public synchronized void close() {
    try {
      super.close();
    } catch (IllegalStateException e) {
      // Pages in use: the borrower's fault, and told by the rule that it breaks.
    }
  }
}
