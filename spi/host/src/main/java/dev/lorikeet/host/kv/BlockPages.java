package dev.lorikeet.host.kv;

import dev.lorikeet.memory.PagePool;
import java.util.Arrays;
import java.util.function.IntPredicate;

/**
 * The pages of cached blocks, and who sees them: a page that lies before the windows of all its
 * layers may go while its block stays. Pages are given back last of all that a method does, so that
 * nothing is given back twice if the pool throws. Guarded by whoever has it.
 */
final class BlockPages {
  private static final int NONE = -1;

  private final PagePool pool;
  private final KvCache kv;
  private final int blockPages;
  private final int blockTokens;
  private final int[] pagesOf;
  private final int[] seenBy; // users of the block that see a page
  private final int[] goneOf; // pages of the block that are gone
  private final int[] freed;
  private int gone;

  /** Makes room for the pages of blocks of numbers below {@code capacity}. */
  BlockPages(PagePool pool, KvCache kv, int capacity) {
    this.pool = pool;
    this.kv = kv;
    this.blockPages = kv.geometry().blockPages();
    this.blockTokens = kv.geometry().blockTokens();
    pagesOf = new int[capacity * blockPages];
    seenBy = new int[capacity * blockPages];
    goneOf = new int[capacity];
    freed = new int[blockPages];
  }

  /** Takes over the pages of a block that has one user. */
  void put(int block, int[] pages, int from) {
    int first = block * blockPages;
    System.arraycopy(pages, from, pagesOf, first, blockPages);
    Arrays.fill(seenBy, first, first + blockPages, 1);
  }

  /** Copies the page numbers of a block. */
  void copy(int block, int[] target, int at) {
    System.arraycopy(pagesOf, block * blockPages, target, at, blockPages);
  }

  /** Counts one more user, who sees all pages. */
  void see(int block) {
    for (int at = block * blockPages; at < (block + 1) * blockPages; at++) {
      seenBy[at]++;
    }
  }

  /** Counts one less who sees a page. */
  void unsee(int block, int page) {
    seenBy[block * blockPages + page]--;
  }

  /** Returns how many pages of a block are gone. */
  int goneOf(int block) {
    return goneOf[block];
  }

  /** Returns how many pages of all blocks are gone. */
  int gone() {
    return gone;
  }

  /** Returns whether the first blocks of a sequence have all that a token behind them sees. */
  boolean isComplete(int[] held, int count) {
    for (int page = 0; page < blockPages; page++) {
      for (int i = kv.unseenBlocks(page, count * blockTokens); i < count; i++) {
        if (pagesOf[held[i] * blockPages + page] == NONE) {
          return false;
        }
      }
    }
    return true;
  }

  /**
   * Lets a block and a sequence that has computed the same have one copy of every page, and gives
   * back those that are doubled.
   *
   * @param pages the sequence's, changed to those that stay
   */
  void merge(int block, int[] pages, int firstPage) {
    int doubled = 0;
    for (int page = 0; page < blockPages; page++) {
      int at = block * blockPages + page;
      int mine = pages[firstPage + page];
      if (pagesOf[at] == NONE) {
        pagesOf[at] = mine;
        goneOf[block]--;
        gone--;
      } else {
        pages[firstPage + page] = pagesOf[at];
        freed[doubled++] = mine;
      }
    }
    free(doubled);
  }

  /** Gives back pages that no user of their block sees, up to so many; returns how many. */
  int dropUnseen(int most, IntPredicate isUsed) {
    int dropped = 0;
    for (int at = 0; at < pagesOf.length && dropped < most; at++) {
      int block = at / blockPages;
      if (isUsed.test(block) && seenBy[at] == 0 && pagesOf[at] != NONE) {
        freed[0] = pagesOf[at];
        pagesOf[at] = NONE;
        goneOf[block]++;
        gone++;
        dropped++;
        free(1);
      }
    }
    return dropped;
  }

  /** Gives back the pages of a block that is no more. */
  void remove(int block) {
    int held = 0;
    for (int at = block * blockPages; at < (block + 1) * blockPages; at++) {
      if (pagesOf[at] != NONE) {
        freed[held++] = pagesOf[at];
      }
    }
    gone -= goneOf[block];
    goneOf[block] = 0;
    free(held);
  }

  private void free(int count) {
    if (count > 0) {
      kv.count(-count);
      pool.free(freed, 0, count);
    }
  }
}
