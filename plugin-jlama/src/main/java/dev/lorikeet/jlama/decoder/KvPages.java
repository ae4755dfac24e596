package dev.lorikeet.jlama.decoder;

import dev.lorikeet.memory.PageOwner;
import java.util.Arrays;

/** The pages of one sequence's keys and values. Used by the decoding thread alone. */
public final class KvPages {
  private final KvCache cache;
  private int[] pages = new int[0];
  private int count;

  KvPages(KvCache cache) {
    this.cache = cache;
  }

  /**
   * Makes room for this many positions in all; returns false, with nothing changed, if the pool has
   * too few pages now.
   */
  public boolean reserve(int positions) {
    int needed = Math.toIntExact(cache.geometry().pagesFor(positions));
    if (needed <= count) {
      return true;
    }
    if (needed > pages.length) {
      pages = Arrays.copyOf(pages, Math.max(needed, 2 * pages.length));
    }
    if (!cache.pool().allocate(PageOwner.KV_CACHE, pages, count, needed - count)) {
      return false;
    }
    cache.count(needed - count);
    count = needed;
    return true;
  }

  /** Gives all pages back; idempotent. */
  public void release() {
    if (count > 0) {
      cache.pool().free(pages, 0, count);
      cache.count(-count);
      count = 0;
    }
  }

  /** Returns how many positions fit into the pages held. */
  int capacity() {
    KvGeometry geometry = cache.geometry();
    return count / geometry.blockPages() * geometry.blockTokens();
  }

  /** Returns the byte offset in the pool's memory where a block of positions of a layer begins. */
  long blockOffset(int block, int layer) {
    KvGeometry geometry = cache.geometry();
    int page = pages[block * geometry.blockPages() + geometry.pageOfLayer(layer)];
    return (long) page * geometry.pageBytes() + geometry.layerOffset(layer);
  }
}
