package dev.lorikeet.jlama.warmup;

import dev.lorikeet.memory.PageOwner;
import dev.lorikeet.memory.PagePool;
import dev.lorikeet.memory.PoolStats;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/** A few pages for one thread, so that a warm-up takes none of the application's. */
final class RehearsalPages implements PagePool {
  private static final int PAGE_BYTES = 1 << 16;
  private static final int COUNT = 64;

  private final MemorySegment memory;
  private final boolean[] taken = new boolean[COUNT];

  RehearsalPages(Arena arena) {
    memory = arena.allocate((long) PAGE_BYTES * COUNT, 64);
  }

  @Override
  public int pageBytes() {
    return PAGE_BYTES;
  }

  @Override
  public int pageCount() {
    return COUNT;
  }

  @Override
  public MemorySegment memory() {
    return memory;
  }

  @Override
  public boolean allocate(PageOwner owner, int[] pages, int from, int count) {
    int found = 0;
    for (int page = 0; page < COUNT && found < count; page++) {
      if (!taken[page]) {
        pages[from + found++] = page;
      }
    }
    for (int i = 0; found == count && i < count; i++) {
      taken[pages[from + i]] = true;
    }
    return found == count;
  }

  @Override
  public void free(int[] pages, int from, int count) {
    for (int i = 0; i < count; i++) {
      taken[pages[from + i]] = false;
    }
  }

  @Override
  public PoolStats stats() {
    throw new UnsupportedOperationException("nobody counts the pages of a warm-up");
  }

  @Override
  public Registration onPressure(Reclaimer reclaimer) {
    return () -> {};
  }

  @Override
  public void close() {
    // The memory goes with its arena.
  }
}
