package dev.lorikeet.cli.fake;

import dev.lorikeet.memory.PageOwner;
import dev.lorikeet.memory.PagePool;
import dev.lorikeet.memory.PoolConfig;
import dev.lorikeet.memory.PoolStats;
import java.lang.foreign.MemorySegment;

/** A pool with the right numbers and no memory. */
record FakePool(PoolConfig config) implements PagePool {
  @Override
  public int pageBytes() {
    return config.pageBytes();
  }

  @Override
  public int pageCount() {
    return config.pageCount();
  }

  @Override
  public MemorySegment memory() {
    throw new UnsupportedOperationException();
  }

  @Override
  public boolean allocate(PageOwner owner, int[] pages, int from, int count) {
    throw new UnsupportedOperationException();
  }

  @Override
  public void free(int[] pages, int from, int count) {
    throw new UnsupportedOperationException();
  }

  @Override
  public PoolStats stats() {
    return PoolStats.builder()
        .pageBytes(pageBytes())
        .pages(pageCount())
        .kvCachePages(3)
        .adapterPages(2)
        .build();
  }

  @Override
  public Registration onPressure(Reclaimer reclaimer) {
    return () -> {};
  }

  @Override
  public void close() {}
}
