package dev.lorikeet.host.kv;

import dev.lorikeet.memory.PageOwner;
import java.util.Arrays;
import java.util.Optional;

/**
 * The pages of one sequence's keys and values: blocks shared with others through the prefix cache,
 * then its own. Used by the decoding thread alone.
 */
public final class KvPages {
  private static final int NONE = -1;

  private final KvCache cache;
  private int[] pages;
  private int count;
  private Optional<PrefixCache.Root> root = Optional.empty();
  private int[] shared;
  private int sharedBlocks;
  private boolean offers = true; // until a block finds no room: what follows would not be found

  // What admission counted on, and what of it is held now.
  private int promise;
  private int held;
  private int takenBlocks;

  // For each page of a block, how many blocks from the first are not seen any more.
  private final int[] forgotten;

  KvPages(KvCache cache, int positions) {
    this.cache = cache;
    pages = new int[Math.toIntExact(cache.geometry().pagesFor(positions))];
    shared = new int[positions / cache.geometry().blockTokens()];
    forgotten = new int[cache.geometry().blockPages()];
  }

  /**
   * Takes what the prefix cache has of a sequence's beginning, and lets others share its blocks
   * from now on; without a prefix cache it does nothing. Called while nothing is held.
   *
   * @param key stands for everything but the tokens that keys and values depend on
   * @param tokens the sequence's tokens
   * @param most how many positions to take at most
   * @return how many positions were taken
   */
  public int share(Object key, int[] tokens, int most) {
    if (cache.prefixes().isEmpty()) {
      return 0;
    }
    PrefixCache prefixes = cache.prefixes().get();
    KvGeometry geometry = cache.geometry();
    PrefixCache.Root entered = prefixes.enter(key);
    root = Optional.of(entered);
    int blocks = most / geometry.blockTokens();
    ensureShared(blocks);
    sharedBlocks = prefixes.take(entered, tokens, shared, blocks);
    takenBlocks = sharedBlocks;
    count = sharedBlocks * geometry.blockPages();
    ensurePages(count);
    for (int b = 0; b < sharedBlocks; b++) {
      prefixes.pages(shared[b], pages, b * geometry.blockPages());
    }
    return sharedBlocks * geometry.blockTokens();
  }

  /** Counts that the sequence was admitted with what it found at {@link #share}. */
  public void admitted() {
    if (root.isPresent()) {
      cache.prefixes().orElseThrow().admitted(sharedBlocks * cache.geometry().blockTokens());
    }
  }

  /**
   * Returns how many positions {@link #share} would find now, at most {@code most}; takes nothing.
   */
  public int peek(Object key, int[] tokens, int most) {
    int blockTokens = cache.geometry().blockTokens();
    return cache.prefixes().isEmpty()
        ? 0
        : cache.prefixes().get().peek(key, tokens, most / blockTokens) * blockTokens;
  }

  /**
   * Offers the full blocks among the first {@code computed} positions to others, and gives back
   * what no layer sees of them any more.
   */
  public void publish(int[] tokens, int computed) {
    offer(tokens, computed);
    if (cache.forgets()) {
      forget(computed);
    }
  }

  /** Gives back what tokens from a position on do not see. */
  private void forget(int position) {
    int blockPages = cache.geometry().blockPages();
    for (int page = 0; page < blockPages; page++) {
      int unseen = cache.unseenBlocks(page, position);
      while (forgotten[page] < unseen) {
        int block = forgotten[page]++;
        held -= block < takenBlocks ? 0 : 1;
        if (block < sharedBlocks) {
          cache.prefixes().orElseThrow().unsee(shared[block], page);
        } else {
          int at = block * blockPages + page;
          int[] own = {pages[at]};
          pages[at] = NONE;
          cache.count(-1);
          cache.pool().free(own, 0, 1); // last: if it throws, it is not given back twice
        }
      }
    }
  }

  private void offer(int[] tokens, int computed) {
    KvGeometry geometry = cache.geometry();
    if (root.isEmpty() || (sharedBlocks + 1) * geometry.blockTokens() > computed) {
      return;
    }
    PrefixCache prefixes = cache.prefixes().orElseThrow();
    int full = computed / geometry.blockTokens();
    ensureShared(full);
    while (sharedBlocks < full && offers) {
      offers = prefixes.hasRoom();
      if (offers) {
        int block = sharedBlocks++; // it is the cache's, whatever the pool throws
        prefixes.put(
            root.get(),
            tokens,
            block * geometry.blockTokens(),
            pages,
            block * geometry.blockPages(),
            shared,
            block);
      }
    }
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
    ensurePages(needed);
    if (cache.prefixes().isPresent()) {
      cache.prefixes().get().makeRoom(needed - count);
    }
    if (!cache.pool().allocate(PageOwner.KV_CACHE, pages, count, needed - count)) {
      return false;
    }
    cache.count(needed - count);
    held += needed - count;
    count = needed;
    return true;
  }

  /**
   * Makes room for the first chunk of a sequence, if the pool has the pages that all of it needs at
   * once beside what others were promised; returns false, with nothing changed, if it has not.
   *
   * @param positions of the whole sequence
   * @param computed how many have been computed
   * @param chunk the most tokens that are computed at once
   * @param promised how many pages others have yet to take, see {@link #promised}
   */
  public boolean admit(int positions, int computed, int chunk, int promised) {
    if (!cache.forgets()) {
      return reserve(positions);
    }
    KvGeometry geometry = cache.geometry();
    int first =
        Math.max(
            0, Math.toIntExact(geometry.pagesFor(Math.min(positions, computed + chunk))) - count);
    long all = geometry.pagesFor(positions) - count;
    int needed =
        Math.toIntExact(Math.max(first, Math.min(all, cache.mostPagesFor(positions, chunk))));
    int wanted = needed + promised;
    ensurePages(count + wanted);
    if (cache.prefixes().isPresent()) {
      cache.prefixes().get().makeRoom(wanted);
    }
    if (!cache.pool().allocate(PageOwner.KV_CACHE, pages, count, wanted)) {
      return false;
    }
    promise = needed;
    held = first;
    count += first;
    cache.count(first);
    if (wanted > first) { // asked for to know that they are there
      cache.pool().free(pages, count, wanted - first);
    }
    return true;
  }

  /** Returns how many of the pages that were found at {@link #admit} are yet to be taken. */
  public int promised() {
    return Math.max(0, promise - held);
  }

  /** Gives all pages back, shared blocks to the prefix cache; idempotent. */
  public void release() {
    int own = 0;
    for (int at = sharedBlocks * cache.geometry().blockPages(); at < count; at++) {
      if (pages[at] != NONE) {
        pages[own++] = pages[at];
      }
    }
    if (root.isPresent()) {
      PrefixCache prefixes = cache.prefixes().orElseThrow();
      prefixes.giveBack(shared, sharedBlocks, forgotten);
      prefixes.leave(root.get());
    }
    root = Optional.empty();
    sharedBlocks = 0;
    count = 0;
    offers = true;
    promise = 0;
    held = 0;
    takenBlocks = 0;
    Arrays.fill(forgotten, 0);
    if (own > 0) {
      cache.count(-own);
      cache.pool().free(pages, 0, own); // last: if it throws, nothing is given back twice
    }
  }

  private void ensurePages(int size) {
    if (size > pages.length) {
      pages = Arrays.copyOf(pages, Math.max(size, 2 * pages.length));
    }
  }

  private void ensureShared(int size) {
    if (size > shared.length) {
      shared = Arrays.copyOf(shared, Math.max(size, 2 * shared.length));
    }
  }

  /** Returns how many positions fit into the pages held. */
  public int capacity() {
    KvGeometry geometry = cache.geometry();
    return count / geometry.blockPages() * geometry.blockTokens();
  }

  /** Returns the byte offset in the pool's memory where a block of positions of a layer begins. */
  public long blockOffset(int block, int layer) {
    KvGeometry geometry = cache.geometry();
    int slot = cache.slot(layer);
    int page = pages[block * geometry.blockPages() + geometry.pageOfLayer(slot)];
    return (long) page * geometry.pageBytes() + geometry.layerOffset(slot);
  }
}
