package dev.lorikeet.host.kv;

/** Blocks without users, least recently used first: a list linked through arrays. */
final class IdleBlocks {
  static final int NONE = -1;

  private final int[] older;
  private final int[] newer;
  private int oldest = NONE;
  private int newest = NONE;
  private int count;

  /** Makes room for blocks of numbers below {@code capacity}. */
  IdleBlocks(int capacity) {
    older = new int[capacity];
    newer = new int[capacity];
  }

  /** Returns the least recently used block, or {@link #NONE}. */
  int oldest() {
    return oldest;
  }

  int count() {
    return count;
  }

  /** Adds a block that was used last of all. */
  void add(int block) {
    count++;
    older[block] = newest;
    newer[block] = NONE;
    if (newest == NONE) {
      oldest = block;
    } else {
      newer[newest] = block;
    }
    newest = block;
  }

  /** Takes out a block that is in the list. */
  void remove(int block) {
    count--;
    if (older[block] == NONE) {
      oldest = newer[block];
    } else {
      newer[older[block]] = newer[block];
    }
    if (newer[block] == NONE) {
      newest = older[block];
    } else {
      older[newer[block]] = older[block];
    }
  }
}
