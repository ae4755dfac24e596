package dev.lorikeet.host.kv;

import dev.lorikeet.memory.PagePool;
import dev.lorikeet.tensor.ElementType;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicInteger;

/** The KV cache of a model: pages drawn from the pool it shares with the adapters. */
public final class KvCache {
  private final PagePool pool;
  private final KvGeometry geometry;
  private final AtomicInteger pages = new AtomicInteger();
  private Optional<PrefixCache> prefixes = Optional.empty();

  public KvCache(PagePool pool, ElementType type, int layers, int kvWidth) {
    this.pool = pool;
    this.geometry = KvGeometry.choose(type, pool.pageBytes(), layers, kvWidth);
  }

  /**
   * Lets sequences share blocks from now on; the caller closes the cache after all sequences have
   * ended.
   */
  public PrefixCache openPrefixCache() {
    PrefixCache cache = new PrefixCache(pool, this);
    prefixes = Optional.of(cache);
    return cache;
  }

  /**
   * Returns the pages of a new sequence: none yet.
   *
   * @param positions for how many positions their numbers have room before more is allocated
   */
  public KvPages newPages(int positions) {
    return new KvPages(this, positions);
  }

  /** Returns how many pages a sequence of this length needs. */
  public long pagesFor(long tokens) {
    return geometry.pagesFor(tokens);
  }

  /** Returns how many consecutive positions make a block, the unit of sharing. */
  public int blockTokens() {
    return geometry.blockTokens();
  }

  /** Returns how many pages hold keys and values: those of sequences and cached ones. */
  public int pagesInUse() {
    return pages.get();
  }

  Optional<PrefixCache> prefixes() {
    return prefixes;
  }

  PagePool pool() {
    return pool;
  }

  public KvGeometry geometry() {
    return geometry;
  }

  void count(int change) {
    pages.addAndGet(change);
  }
}
