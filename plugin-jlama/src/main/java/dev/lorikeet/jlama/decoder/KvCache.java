package dev.lorikeet.jlama.decoder;

import dev.lorikeet.memory.PagePool;
import dev.lorikeet.tensor.ElementType;

/** The KV cache of a model: pages drawn from the pool it shares with the adapters. */
public final class KvCache {
  private final PagePool pool;
  private final KvGeometry geometry;
  private volatile int pagesInUse;

  KvCache(PagePool pool, ElementType type, int layers, int kvWidth) {
    this.pool = pool;
    this.geometry = KvGeometry.choose(type, pool.pageBytes(), layers, kvWidth);
  }

  /** Returns the pages of a new sequence: none yet. */
  public KvPages newPages() {
    return new KvPages(this);
  }

  /** Returns how many pages a sequence of this length needs. */
  public long pagesFor(long tokens) {
    return geometry.pagesFor(tokens);
  }

  /** Returns how many pages all sequences hold. */
  public int pagesInUse() {
    return pagesInUse;
  }

  PagePool pool() {
    return pool;
  }

  KvGeometry geometry() {
    return geometry;
  }

  /** Called by the decoding thread alone, or after it has ended. */
  @SuppressWarnings("NonAtomicVolatileUpdate")
  void count(int change) {
    pagesInUse += change;
  }
}
