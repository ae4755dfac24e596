package dev.lorikeet.host.kv;

import dev.lorikeet.memory.PagePool;
import dev.lorikeet.tensor.ElementType;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.IntStream;

/**
 * The KV cache of a model: pages drawn from the pool it shares with the adapters. Layers lie in
 * pages in the order of their windows, so that as many pages as can be have a window of their own;
 * what lies before it is given back while a sequence goes on.
 */
public final class KvCache {
  /** The window of a layer whose tokens see all positions. */
  public static final int NO_WINDOW = Integer.MAX_VALUE;

  private final PagePool pool;
  private final KvGeometry geometry;
  private final int[] slots;
  private final int[] windows;
  private final boolean forgets;
  private final AtomicInteger pages = new AtomicInteger();
  private Optional<PrefixCache> prefixes = Optional.empty();

  /** Creates the cache of a model whose tokens see all positions. */
  public KvCache(PagePool pool, ElementType type, int layers, int kvWidth) {
    this(pool, type, IntStream.generate(() -> NO_WINDOW).limit(layers).toArray(), kvWidth);
  }

  /**
   * Creates the cache of a model.
   *
   * @param windows for each layer, how many positions, itself the last, a token sees
   */
  public KvCache(PagePool pool, ElementType type, int[] windows, int kvWidth) {
    int layers = windows.length;
    this.pool = pool;
    this.geometry = KvGeometry.choose(type, pool.pageBytes(), layers, kvWidth);
    this.slots = new int[layers];
    this.windows = new int[geometry.blockPages()];
    List<Integer> order =
        IntStream.range(0, layers)
            .boxed()
            .sorted(Comparator.comparingInt(layer -> windows[layer]))
            .toList();
    for (int slot = 0; slot < layers; slot++) {
      int layer = order.get(slot);
      slots[layer] = slot;
      int page = geometry.pageOfLayer(slot);
      this.windows[page] = Math.max(this.windows[page], windows[layer]);
    }
    this.forgets = IntStream.of(this.windows).anyMatch(window -> window < NO_WINDOW);
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

  /**
   * Returns how many pages a sequence of this length holds at most at once, if it is computed in
   * chunks: all where all positions are seen, and of others those that the window and the chunk
   * before it lie in.
   *
   * @param chunk the most tokens that are computed at once
   */
  public long mostPagesFor(long tokens, int chunk) {
    int blockTokens = geometry.blockTokens();
    long all = geometry.pagesFor(tokens) / geometry.blockPages();
    long pages = 0;
    for (int window : windows) {
      long seen = ((long) window + chunk + blockTokens - 1) / blockTokens + 1;
      pages += Math.min(all, seen);
    }
    return pages;
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

  /** Returns whether there are pages that a sequence stops to see. */
  boolean forgets() {
    return forgets;
  }

  /**
   * Returns how many blocks from the first a token, and all that follow it, see nothing of in a
   * page.
   *
   * @param page which page of a block
   * @param position of the token
   */
  int unseenBlocks(int page, int position) {
    int window = windows[page];
    return window > position ? 0 : (position - window + 1) / geometry.blockTokens();
  }

  /** Returns the place of a layer in a block's pages. */
  int slot(int layer) {
    return slots[layer];
  }

  void count(int change) {
    pages.addAndGet(change);
  }
}
