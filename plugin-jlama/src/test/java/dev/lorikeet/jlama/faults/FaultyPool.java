package dev.lorikeet.jlama.faults;

import dev.lorikeet.jlama.faults.Faults.Party;
import dev.lorikeet.memory.PageOwner;
import dev.lorikeet.memory.PagePool;
import dev.lorikeet.memory.PoolStats;
import java.lang.foreign.MemorySegment;

/** A pool that throws. */
record FaultyPool(PagePool pool, Faults faults) implements PagePool {
  @Override
  public int pageBytes() {
    return pool.pageBytes();
  }

  @Override
  public int pageCount() {
    faults.at(Party.POOL, "pageCount");
    return pool.pageCount();
  }

  @Override
  public MemorySegment memory() {
    faults.at(Party.POOL, "memory");
    return pool.memory();
  }

  @Override
  public boolean allocate(PageOwner owner, int[] pages, int from, int count) {
    faults.at(Party.POOL, "allocate");
    return pool.allocate(owner, pages, from, count);
  }

  @Override
  public void free(int[] pages, int from, int count) {
    pool.free(pages, from, count);
    faults.at(Party.POOL, "free");
  }

  @Override
  public PoolStats stats() {
    faults.at(Party.POOL, "stats");
    return pool.stats();
  }

  @Override
  public Registration onPressure(Reclaimer reclaimer) {
    faults.at(Party.POOL, "onPressure");
    Registration registration = pool.onPressure(reclaimer);
    return () -> {
      registration.close();
      faults.at(Party.POOL, "the end of a registration");
    };
  }

  @Override
  public void close() {
    faults.closed(pool, pool.stats().usedPages(), "pages of the pool");
    pool.close();
    faults.at(Party.POOL, "close");
  }
}
