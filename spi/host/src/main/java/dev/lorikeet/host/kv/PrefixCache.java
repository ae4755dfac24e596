package dev.lorikeet.host.kv;

import dev.lorikeet.memory.PagePool;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * Full blocks of keys and values that sequences with the same beginning share, and that stay after
 * the last of them has ended until the pool needs their pages. Its methods are called by the
 * decoding thread, but for {@link #stats} and the reclaiming of pages, which any thread may do.
 */
public final class PrefixCache implements AutoCloseable {
  /*
   * Idea: prefix caching (vLLM, arXiv 2309.06180, section 4.4; SGLang's RadixAttention, arXiv 2312.07104). A block
   * holds the keys and values of blockTokens positions of all layers, in its geometry's blockPages pages. It is known
   * by its root, the block before it and its own tokens, all compared exactly, the hash only finds the candidates. A
   * root stands for everything but the tokens that keys and values depend on: tenant, generations of adapters, their
   * weights. Kernels give the same bits whatever the batch, so a block computed for one sequence is what any other
   * would compute, and when two sequences have computed the same block at the same time one copy is given back.
   *
   * Layout: blocks are numbers into parallel arrays, with room for as many as the pool can hold, so that nothing is
   * allocated per block. Buckets chain blocks of one hash. Blocks without users form a list, least recently used first.
   * Whoever uses a block uses those before it, and gives them back from the last to the first, so a block stands in the
   * list before the one that precedes it in a sequence: the head of the list never has a successor, and evicting it
   * leaves no orphan.
   *
   * Windows: a page that no user of its block sees any more, since it lies before the windows of all its layers, stays
   * until the pool needs it, since a sequence that begins as this one did would see it; then it goes, and the block
   * stays for the layers that see all. Such a block serves whoever begins with it and is far enough behind it.
   *
   * Who gives way: keys and values for running sequences take free pages, then cached blocks, then idle adapters. Loads
   * of adapters take free pages, then idle adapters, then cached blocks (the order in which the pool asks). So that a
   * cache that grew first does not keep adapters out, blocks beyond KEEP of the pool are given up while less than SPARE
   * of it is free.
   *
   * Cost: a look-up hashes and compares the tokens once; the lock is taken when a sequence is admitted, fills a block
   * or ends, not per token.
   */
  private static final int KEEP = 4;
  private static final int SPARE = 16;
  private static final int NONE = IdleBlocks.NONE;

  private final PagePool pool;
  private final KvCache kv;
  private final int blockPages;
  private final int blockTokens;
  private final PagePool.Registration pressure;
  private final Object lock = new Object();
  private final Map<Object, Root> roots = new HashMap<>();

  private final @Nullable Root[] rootOf;
  private final int[] parentOf;
  private final int[] tokensOf;
  private final BlockPages pages;
  private final int[] usersOf;
  private final int[] hashOf;
  private final int[] nextInBucket;
  private final int[] buckets;
  private final IdleBlocks idle;
  private int unused = NONE; // free block numbers, chained by nextInBucket
  private int blocks;
  private int idleGonePages;
  private long lookups;
  private long hits;
  private long reusedTokens;
  private long evictions;
  private int serials;

  /** Everything that keys and values depend on besides tokens; kept while in use. */
  static final class Root {
    private final Object key;
    private final int hash;
    private int users;

    Root(Object key, int serial) {
      this.key = key;
      this.hash = serial * 0x9E3779B9;
    }
  }

  PrefixCache(PagePool pool, KvCache kv) {
    this.pool = pool;
    this.kv = kv;
    this.blockPages = kv.geometry().blockPages();
    this.blockTokens = kv.geometry().blockTokens();
    // Blocks of which pages are gone leave room for more.
    int capacity = pool.pageCount() / blockPages * (kv.forgets() ? 2 : 1);
    rootOf = new Root[capacity];
    parentOf = new int[capacity];
    tokensOf = new int[Math.multiplyExact(capacity, blockTokens)];
    pages = new BlockPages(pool, kv, capacity);
    usersOf = new int[capacity];
    hashOf = new int[capacity];
    nextInBucket = new int[capacity];
    idle = new IdleBlocks(capacity);
    buckets = new int[Integer.highestOneBit(Math.max(1, capacity)) * 2];
    Arrays.fill(buckets, NONE);
    for (int b = capacity - 1; b >= 0; b--) {
      nextInBucket[b] = unused;
      unused = b;
    }
    pressure = pool.onPressure(this::evict);
  }

  /** Returns the root of a key, compared by {@code equals}; {@link #leave} it in the end. */
  Root enter(Object key) {
    synchronized (lock) {
      Root root = roots.computeIfAbsent(key, k -> new Root(k, ++serials));
      root.users++;
      return root;
    }
  }

  void leave(Root root) {
    synchronized (lock) {
      dropUser(root);
    }
  }

  private void dropUser(Root root) {
    if (--root.users == 0) {
      roots.remove(root.key);
    }
  }

  /**
   * Finds the longest run of cached blocks that a sequence begins with and takes a use of each.
   *
   * @param held receives the blocks
   * @param most how many to take at most
   * @return how many were taken
   */
  int take(Root root, int[] tokens, int[] held, int most) {
    synchronized (lock) {
      int parent = NONE;
      int found = 0;
      while (found < most) {
        int block = find(root, parent, tokens, found * blockTokens);
        if (block == NONE) {
          break;
        }
        use(block);
        held[found++] = block;
        parent = block;
      }
      int complete = complete(held, found);
      if (complete < found) {
        giveBack(held, complete, found, new int[blockPages]);
      }
      return complete;
    }
  }

  /** Returns how many of these blocks have all that a token behind them sees. */
  private int complete(int[] held, int found) {
    int complete = found;
    while (pages.gone() > 0 && complete > 0 && !pages.isComplete(held, complete)) {
      complete--;
    }
    return complete;
  }

  /** Returns how many blocks a sequence begins with are cached now, without taking them. */
  int peek(Object key, int[] tokens, int most) {
    synchronized (lock) {
      Root root = roots.get(key);
      int parent = NONE;
      int found = 0;
      int[] held = new int[pages.gone() > 0 ? most : 0];
      while (root != null && found < most) {
        parent = find(root, parent, tokens, found * blockTokens);
        if (parent == NONE) {
          break;
        }
        if (pages.gone() > 0) {
          held[found] = parent;
        }
        found++;
      }
      return complete(held, found);
    }
  }

  /**
   * Takes a full block over from a sequence, which uses it from then on. Where the same block is
   * cached already, the sequence's pages are given back and it uses the cached one.
   *
   * @param tokens the sequence's tokens; the block's begin at {@code from}
   * @param own the sequence's pages, changed to the cached block's; the block's begin at {@code
   *     firstPage}
   * @param held the sequence's blocks, those before this one among them; receives the block
   * @param at the block's place among them
   */
  void put(Root root, int[] tokens, int from, int[] own, int firstPage, int[] held, int at) {
    synchronized (lock) {
      int parent = at == 0 ? NONE : held[at - 1];
      int block = find(root, parent, tokens, from);
      if (block != NONE) {
        use(block);
        held[at] = block;
        pages.merge(block, own, firstPage);
        return;
      }
      block = unused;
      unused = nextInBucket[block];
      rootOf[block] = root;
      root.users++;
      parentOf[block] = parent;
      System.arraycopy(tokens, from, tokensOf, block * blockTokens, blockTokens);
      pages.put(block, own, firstPage);
      usersOf[block] = 1;
      hashOf[block] = hash(root, parent, tokens, from);
      int bucket = hashOf[block] & (buckets.length - 1);
      nextInBucket[block] = buckets[bucket];
      buckets[bucket] = block;
      blocks++;
      held[at] = block;
    }
  }

  /**
   * Makes sure that there is a number for one more block, if need be that of one without users.
   *
   * @return false if all have users, which happens only where pages of blocks are gone
   */
  boolean hasRoom() {
    synchronized (lock) {
      if (unused == NONE) {
        evict(1);
      }
      return unused != NONE;
    }
  }

  /** Copies the page numbers of a block that the caller uses. */
  void pages(int block, int[] target, int at) {
    pages.copy(block, target, at);
  }

  /** Tells that a user of a block does not see one of its pages any more. */
  void unsee(int block, int page) {
    synchronized (lock) {
      pages.unsee(block, page);
    }
  }

  /**
   * Gives back the uses of a sequence's blocks, the last block first.
   *
   * @param unseen for each page, of how many blocks from the first it is not seen any more
   */
  void giveBack(int[] held, int count, int[] unseen) {
    synchronized (lock) {
      giveBack(held, 0, count, unseen);
    }
  }

  private void giveBack(int[] held, int first, int end, int[] unseen) {
    for (int i = end - 1; i >= first; i--) {
      for (int page = 0; page < blockPages; page++) {
        if (i >= unseen[page]) {
          pages.unsee(held[i], page);
        }
      }
      giveBack(held[i]);
    }
  }

  private void giveBack(int block) {
    if (--usersOf[block] > 0) {
      return;
    }
    idle.add(block);
    idleGonePages += pages.goneOf(block);
  }

  /** Counts a sequence that was admitted with so many of its tokens found. */
  void admitted(int tokens) {
    synchronized (lock) {
      lookups++;
      hits += tokens > 0 ? 1 : 0;
      reusedTokens += tokens;
    }
  }

  /** Gives up blocks without users until so many pages of the pool are free, or none is left. */
  void makeRoom(int wanted) {
    int free = pool.stats().freePages();
    if (free < wanted) {
      evict(wanted - free);
    }
  }

  /** Leaves room for adapters: see the head of this class. */
  public void trim() {
    int spare = pool.pageCount() / SPARE;
    int free = pool.stats().freePages();
    if (free >= spare) {
      return;
    }
    int excess;
    synchronized (lock) {
      excess = idlePages() - pool.pageCount() / KEEP;
    }
    if (excess > 0) {
      evict(Math.min(excess, spare - free));
    }
  }

  /** Frees at least so many pages if blocks without users have them; returns how many. */
  private int evict(int wanted) {
    synchronized (lock) {
      int freed = 0;
      while (freed < wanted && idle.oldest() != NONE) {
        int block = idle.oldest();
        freed += blockPages - pages.goneOf(block);
        unlink(block);
        remove(block);
        evictions++;
      }
      return freed < wanted && kv.forgets()
          ? freed + pages.dropUnseen(wanted - freed, block -> usersOf[block] > 0)
          : freed;
    }
  }

  private int idlePages() {
    return idle.count() * blockPages - idleGonePages;
  }

  private void use(int block) {
    if (usersOf[block]++ == 0) {
      unlink(block);
    }
    pages.see(block);
  }

  /** Takes a block out of the list of those without users. */
  private void unlink(int block) {
    idle.remove(block);
    idleGonePages -= pages.goneOf(block);
  }

  private void remove(int block) {
    int bucket = hashOf[block] & (buckets.length - 1);
    if (buckets[bucket] == block) {
      buckets[bucket] = nextInBucket[block];
    } else {
      int before = buckets[bucket];
      while (nextInBucket[before] != block) {
        before = nextInBucket[before];
      }
      nextInBucket[before] = nextInBucket[block];
    }
    dropUser(Objects.requireNonNull(rootOf[block]));
    rootOf[block] = null;
    nextInBucket[block] = unused;
    unused = block;
    blocks--;
    pages.remove(block);
  }

  private int find(Root root, int parent, int[] tokens, int from) {
    int hash = hash(root, parent, tokens, from);
    for (int b = buckets[hash & (buckets.length - 1)]; b != NONE; b = nextInBucket[b]) {
      int start = b * blockTokens;
      if (hashOf[b] == hash
          && rootOf[b] == root
          && parentOf[b] == parent
          && Arrays.equals(
              tokensOf, start, start + blockTokens, tokens, from, from + blockTokens)) {
        return b;
      }
    }
    return NONE;
  }

  private int hash(Root root, int parent, int[] tokens, int from) {
    int hash = parent == NONE ? root.hash : hashOf[parent];
    for (int i = from; i < from + blockTokens; i++) {
      hash = (hash ^ tokens[i]) * 0x01000193;
      hash ^= hash >>> 15;
    }
    return hash;
  }

  /** Returns counts for monitoring. */
  public PrefixStats stats() {
    synchronized (lock) {
      return new PrefixStats(
          lookups,
          hits,
          reusedTokens,
          evictions,
          idlePages(),
          blocks * blockPages - pages.gone() - idlePages());
    }
  }

  /** Gives all pages back, after all sequences have ended, whatever the pool throws. */
  @Override
  public void close() {
    try {
      pressure.close();
    } finally {
      evictAll();
    }
  }

  /** A block whose pages the pool refuses to take is gone all the same, so this ends. */
  private void evictAll() {
    while (true) {
      try {
        evict(Integer.MAX_VALUE);
        return;
      } catch (Throwable e) { // checked ones as well, which a pool in another language may throw
        synchronized (lock) {
          if (idle.oldest() == NONE) {
            throw e;
          }
        }
      }
    }
  }
}
