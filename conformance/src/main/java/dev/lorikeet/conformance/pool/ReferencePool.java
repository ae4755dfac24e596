package dev.lorikeet.conformance.pool;

import dev.lorikeet.memory.PageOwner;
import dev.lorikeet.memory.PagePool;
import dev.lorikeet.memory.PoolConfig;
import dev.lorikeet.memory.PoolStats;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.CopyOnWriteArrayList;
import org.jspecify.annotations.Nullable;

/**
 * A page pool as plain as can be: what the suite lends to stores and models under test. One lock
 * guards an owner per page and a stack of free pages; reclaimers are asked outside it.
 */
class ReferencePool implements PagePool {
  private final int pageBytes;
  private final @Nullable PageOwner[] owners;
  private final int[] free;
  private final List<Registered> reclaimers = new CopyOnWriteArrayList<>();
  private final Arena arena = Arena.ofShared();
  private final MemorySegment memory;
  private int freeCount;
  private boolean closed;

  ReferencePool(PoolConfig config) {
    if (!config.options().isEmpty()) {
      throw new IllegalArgumentException(
          "options: expected none, found " + config.options().keySet());
    }
    pageBytes = config.pageBytes();
    owners = new PageOwner[config.pageCount()];
    free = new int[owners.length];
    for (int i = 0; i < free.length; i++) {
      free[i] = free.length - 1 - i;
    }
    freeCount = free.length;
    memory = arena.allocate((long) pageBytes * owners.length, 64);
  }

  @Override
  public int pageBytes() {
    return pageBytes;
  }

  @Override
  public int pageCount() {
    return owners.length;
  }

  @Override
  public synchronized MemorySegment memory() {
    requireOpen();
    return memory;
  }

  @Override
  public boolean allocate(PageOwner owner, int[] pages, int from, int count) {
    Objects.checkFromIndexSize(from, count, pages.length);
    if (take(owner, pages, from, count)) {
      return true;
    }
    for (Registered registered : reclaimers) {
      registered.reclaimer.reclaim(count - freePages());
      if (take(owner, pages, from, count)) {
        return true;
      }
    }
    return false;
  }

  private synchronized int freePages() {
    return freeCount;
  }

  private synchronized boolean take(PageOwner owner, int[] pages, int from, int count) {
    requireOpen();
    if (freeCount < count) {
      return false;
    }
    for (int i = 0; i < count; i++) {
      int page = free[--freeCount];
      owners[page] = owner;
      pages[from + i] = page;
    }
    return true;
  }

  @Override
  public boolean allocatesRuns() {
    return true;
  }

  @Override
  public boolean allocateRun(PageOwner owner, int[] pages, int from, int count) {
    Objects.checkFromIndexSize(from, count, pages.length);
    if (takeRun(owner, pages, from, count)) {
      return true;
    }
    for (Registered registered : reclaimers) {
      registered.reclaimer.reclaim(count);
      if (takeRun(owner, pages, from, count)) {
        return true;
      }
    }
    return false;
  }

  synchronized boolean takeRun(PageOwner owner, int[] pages, int from, int count) {
    requireOpen();
    for (int first = 0; first + count <= owners.length; first++) {
      int length = 0;
      while (length < count && owners[first + length] == null) {
        length++;
      }
      if (length == count) {
        for (int i = 0; i < count; i++) {
          owners[first + i] = owner;
          pages[from + i] = first + i;
        }
        freeCount = 0;
        for (int page = owners.length - 1; page >= 0; page--) {
          if (owners[page] == null) {
            free[freeCount++] = page;
          }
        }
        return true;
      }
    }
    return false;
  }

  @Override
  public synchronized void free(int[] pages, int from, int count) {
    requireOpen();
    Objects.checkFromIndexSize(from, count, pages.length);
    int[] sorted = Arrays.copyOfRange(pages, from, from + count);
    Arrays.sort(sorted);
    for (int i = 0; i < count; i++) {
      int page = sorted[i];
      if (page < 0 || page >= owners.length || owners[page] == null) {
        throw new IllegalArgumentException("page " + page + ": expected an allocated page");
      }
      if (i > 0 && sorted[i - 1] == page) {
        throw new IllegalArgumentException("page " + page + ": given twice");
      }
    }
    for (int page : sorted) {
      owners[page] = null;
      free[freeCount++] = page;
    }
  }

  @Override
  public synchronized PoolStats stats() {
    return PoolStats.builder()
        .pageBytes(pageBytes)
        .pages(owners.length)
        .kvCachePages(count(PageOwner.KV_CACHE))
        .adapterPages(count(PageOwner.ADAPTER))
        .otherPages(count(PageOwner.OTHER))
        .build();
  }

  private int count(PageOwner owner) {
    int count = 0;
    for (PageOwner o : owners) {
      count += o == owner ? 1 : 0;
    }
    return count;
  }

  /** One registration, equal to itself alone: a reclaimer may be registered twice. */
  private static final class Registered {
    final Reclaimer reclaimer;

    Registered(Reclaimer reclaimer) {
      this.reclaimer = reclaimer;
    }
  }

  @Override
  public Registration onPressure(Reclaimer reclaimer) {
    Registered registered = new Registered(reclaimer);
    reclaimers.add(registered);
    return () -> reclaimers.remove(registered);
  }

  @Override
  public synchronized void close() {
    if (closed) {
      return;
    }
    PoolStats stats = stats();
    closed = true;
    arena.close();
    if (stats.usedPages() > 0) {
      throw new IllegalStateException(
          "pool: closed with pages in use: KV_CACHE "
              + stats.kvCachePages()
              + ", ADAPTER "
              + stats.adapterPages()
              + ", OTHER "
              + stats.otherPages());
    }
  }

  private void requireOpen() {
    if (closed) {
      throw new IllegalStateException("pool: closed");
    }
  }
}
