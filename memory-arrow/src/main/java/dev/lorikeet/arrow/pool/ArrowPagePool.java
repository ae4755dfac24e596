package dev.lorikeet.arrow.pool;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.arrow.offheap.FfmAllocationManager;
import dev.lorikeet.memory.PageOwner;
import dev.lorikeet.memory.PagePool;
import dev.lorikeet.memory.PoolConfig;
import dev.lorikeet.memory.PoolStats;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.function.IntSupplier;
import java.util.stream.Collectors;
import org.apache.arrow.memory.ArrowBuf;
import org.apache.arrow.memory.BufferAllocator;
import org.apache.arrow.memory.OutOfMemoryException;
import org.apache.arrow.memory.RootAllocator;

/** A page pool on one Arrow allocation. Safe for use by any number of threads. */
public final class ArrowPagePool implements PagePool {
  /*
   * Idea: pages are numbers. A stack holds the free ones, one byte per page says who owns it.
   * Layout: free[0 .. freeCount) is the stack; it starts with page 0 on top, and a page freed last is used first,
   * because it is the one most likely still in cache. owner[p] is FREE, or 1 plus the ordinal of the owner; MARKED is
   * added while free() looks through its argument, which finds a page that stands there twice, and is taken off again
   * if anything is wrong.
   * A run of adjacent pages is looked for from the last page downwards, away from where single pages begin; that and
   * taking it off the stack are a pass over all pages each, for calls that come with adapters of the output layer and
   * not with tokens.
   * Cost: O(count) per call under one lock, held for a few nanoseconds per page. Reclaimers run without it, since they
   * free pages themselves; a pass over all of them repeats as long as it brought something, because another thread may
   * take what was just freed.
   * Paper: unified paging, S-LoRA (arXiv 2311.03285), section 5.
   */
  private static final byte FREE = 0;
  private static final int MARKED = 0x40;
  private static final int MAX_RECLAIM_PASSES = 16;
  private static final List<PageOwner> OWNERS = List.of(PageOwner.values());

  private final int pageBytes;
  private final int pageCount;
  private final BufferAllocator allocator;
  private final ArrowBuf buffer;
  private final MemorySegment memory;
  private final List<Registered> registrations = new CopyOnWriteArrayList<>();

  private final Object lock = new Object();
  private final int[] free;
  private final byte[] owner;
  private final int[] used = new int[OWNERS.size()];
  private int freeCount;
  private volatile boolean closed;

  private ArrowPagePool(
      PoolConfig config, BufferAllocator allocator, ArrowBuf buffer, MemorySegment memory) {
    pageBytes = config.pageBytes();
    pageCount = config.pageCount();
    free = new int[pageCount];
    owner = new byte[pageCount];
    this.allocator = allocator;
    this.buffer = buffer;
    this.memory = memory;
    freeCount = pageCount;
    for (int i = 0; i < pageCount; i++) {
      free[i] = pageCount - 1 - i;
    }
  }

  /**
   * Opens a pool.
   *
   * @param pretouch whether to write all memory now, so that the system provides it at once
   * @throws LorikeetException with code {@code POOL_EXHAUSTED} if the memory cannot be had
   */
  public static ArrowPagePool open(PoolConfig config, boolean pretouch) {
    long bytes = (long) config.pageCount() * config.pageBytes();
    OptionalLong installed = MachineMemory.bytes();
    if (installed.isPresent() && bytes > installed.getAsLong()) {
      throw exhausted(bytes, "this machine or container has " + installed.getAsLong());
    }
    var factory = new FfmAllocationManager.FfmFactory();
    BufferAllocator allocator = allocator(factory, bytes);
    Optional<ArrowBuf> buffer = Optional.empty();
    try {
      buffer = Optional.of(allocator.buffer(bytes));
      MemorySegment memory = factory.latest();
      if (pretouch) {
        memory.fill((byte) 0);
      }
      return new ArrowPagePool(config, allocator, buffer.get(), memory);
    } catch (OutOfMemoryError | OutOfMemoryException e) {
      buffer.ifPresent(ArrowBuf::close);
      allocator.close();
      throw exhausted(bytes, String.valueOf(e.getMessage()));
    }
  }

  /** Returns an allocator of at most {@code bytes}, whose allocations are as large as asked for. */
  public static BufferAllocator allocator(FfmAllocationManager.FfmFactory factory, long bytes) {
    return new RootAllocator(
        RootAllocator.configBuilder()
            .allocationManagerFactory(factory)
            .maxAllocation(bytes)
            .roundingPolicy(size -> size)
            .build());
  }

  private static LorikeetException exhausted(long bytes, String found) {
    return new LorikeetException(
        LorikeetException.Code.POOL_EXHAUSTED,
        "pool: expected to get " + bytes + " bytes of off-heap memory, found: " + found);
  }

  @Override
  public int pageBytes() {
    return pageBytes;
  }

  @Override
  public int pageCount() {
    return pageCount;
  }

  @Override
  public MemorySegment memory() {
    requireOpen();
    return memory;
  }

  @Override
  public boolean allocate(PageOwner pageOwner, int[] pages, int from, int count) {
    Objects.requireNonNull(pageOwner, "owner");
    Objects.checkFromIndexSize(from, count, pages.length);
    return allocate(() -> take(pageOwner, pages, from, count), count);
  }

  @Override
  public boolean allocateRun(PageOwner pageOwner, int[] pages, int from, int count) {
    Objects.requireNonNull(pageOwner, "owner");
    Objects.checkFromIndexSize(from, count, pages.length);
    return allocate(() -> takeRun(pageOwner, pages, from, count), count);
  }

  @Override
  public boolean allocatesRuns() {
    return true;
  }

  /**
   * Takes pages, and asks for more of them as long as that brings any.
   *
   * @param attempt takes all and returns 0, or takes none and returns how many more it wants
   */
  private boolean allocate(IntSupplier attempt, int count) {
    int missing = attempt.getAsInt();
    if (missing == 0 || count > pageCount) {
      return missing == 0;
    }
    for (int pass = 0; pass < MAX_RECLAIM_PASSES; pass++) {
      boolean progress = false;
      for (Registered registered : registrations) {
        progress |= registered.reclaimer.reclaim(missing) > 0;
        missing = attempt.getAsInt();
        if (missing == 0) {
          return true;
        }
      }
      if (!progress) {
        return false;
      }
    }
    return false;
  }

  /** Takes all pages and returns 0, or takes none and returns how many more would be needed. */
  private int take(PageOwner pageOwner, int[] pages, int from, int count) {
    synchronized (lock) {
      requireOpen();
      if (count > freeCount) {
        return count - freeCount;
      }
      int number = OWNERS.indexOf(pageOwner);
      for (int i = 0; i < count; i++) {
        int page = free[--freeCount];
        owner[page] = (byte) (number + 1);
        pages[from + i] = page;
      }
      used[number] += count;
      return 0;
    }
  }

  /** Takes a run and returns 0, or takes nothing and returns how many pages may help if freed. */
  private int takeRun(PageOwner pageOwner, int[] pages, int from, int count) {
    synchronized (lock) {
      requireOpen();
      int first = lastRun(count);
      if (first < 0) {
        return Math.max(1, count - Math.min(freeCount, count - 1));
      }
      int number = OWNERS.indexOf(pageOwner);
      for (int i = 0; i < count; i++) {
        owner[first + i] = (byte) (number + 1);
        pages[from + i] = first + i;
      }
      int kept = 0;
      for (int i = 0; i < freeCount; i++) {
        if (owner[free[i]] == FREE) {
          free[kept++] = free[i];
        }
      }
      freeCount = kept;
      used[number] += count;
      return 0;
    }
  }

  /** Returns where the last run of so many free pages begins, -1 if there is none. */
  private int lastRun(int count) {
    int length = 0;
    for (int page = pageCount - 1; page >= 0; page--) {
      length = owner[page] == FREE ? length + 1 : 0;
      if (length >= count) {
        return page;
      }
    }
    return count == 0 ? 0 : -1;
  }

  @Override
  public void free(int[] pages, int from, int count) {
    Objects.checkFromIndexSize(from, count, pages.length);
    synchronized (lock) {
      requireOpen();
      for (int i = 0; i < count; i++) {
        int page = pages[from + i];
        if (page < 0 || page >= pageCount || owner[page] == FREE || owner[page] >= MARKED) {
          String found =
              page < 0 || page >= pageCount
                  ? "a page outside [0, " + pageCount + ")"
                  : owner[page] == FREE ? "a page that is not allocated" : "a page twice";
          for (int j = 0; j < i; j++) {
            owner[pages[from + j]] = (byte) (owner[pages[from + j]] - MARKED);
          }
          throw new IllegalArgumentException(
              "pages["
                  + (from + i)
                  + "]: expected an allocated page, found "
                  + page
                  + ", "
                  + found);
        }
        owner[page] = (byte) (owner[page] + MARKED);
      }
      for (int i = 0; i < count; i++) {
        int page = pages[from + i];
        used[owner[page] - MARKED - 1]--;
        owner[page] = FREE;
        free[freeCount++] = page;
      }
    }
  }

  @Override
  public PoolStats stats() {
    synchronized (lock) {
      return PoolStats.builder()
          .pageBytes(pageBytes)
          .pages(pageCount)
          .kvCachePages(used[OWNERS.indexOf(PageOwner.KV_CACHE)])
          .adapterPages(used[OWNERS.indexOf(PageOwner.ADAPTER)])
          .otherPages(used[OWNERS.indexOf(PageOwner.OTHER)])
          .build();
    }
  }

  @Override
  public Registration onPressure(Reclaimer reclaimer) {
    var registered = new Registered(Objects.requireNonNull(reclaimer, "reclaimer"));
    registrations.add(registered);
    return registered;
  }

  @Override
  public void close() {
    PoolStats last;
    synchronized (lock) {
      if (closed) {
        return;
      }
      closed = true;
      last = stats();
    }
    registrations.clear();
    buffer.close();
    allocator.close();
    if (last.usedPages() > 0) {
      throw new IllegalStateException(
          "pool: expected all pages to be free at close, found allocated: "
              + OWNERS.stream()
                  .filter(o -> last.pages(o) > 0)
                  .map(o -> last.pages(o) + " " + o)
                  .collect(Collectors.joining(", ")));
    }
  }

  private void requireOpen() {
    if (closed) {
      throw new IllegalStateException("pool: expected an open pool, found a closed one");
    }
  }

  /** One registration; compared by identity, so that a reclaimer may be registered twice. */
  private final class Registered implements Registration {
    private final Reclaimer reclaimer;

    Registered(Reclaimer reclaimer) {
      this.reclaimer = reclaimer;
    }

    @Override
    public void close() {
      registrations.remove(this);
    }
  }
}
