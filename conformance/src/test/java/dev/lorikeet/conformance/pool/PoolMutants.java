package dev.lorikeet.conformance.pool;

import static dev.lorikeet.conformance.Mutant.rules;

import dev.lorikeet.conformance.Mutant;
import dev.lorikeet.conformance.MutantSuites;
import dev.lorikeet.conformance.MutantSuites.MakesPool;
import dev.lorikeet.memory.PageOwner;
import dev.lorikeet.memory.PoolConfig;
import dev.lorikeet.memory.PoolStats;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.LockSupport;

/** Page pools with one fault each. */
public final class PoolMutants {
  private PoolMutants() {}

  private static Mutant pool(String fault, Set<String> by, Set<String> also, MakesPool factory) {
    return new Mutant(MutantSuites.Pools.class, fault, by, also, factory);
  }

  public static List<Mutant> all() {
    return List.of(
        pool("memory that is not aligned", rules("P1"), rules(), Misaligned::new),
        pool("a last page that is cut short", rules("P2"), rules("P12"), ShortLastPage::new),
        pool("no check of page numbers", rules("P2"), rules(), Unchecked::new),
        pool(
            "a page handed out twice now and then",
            rules("P3"),
            rules("P5", "P8", "P9"),
            HandsOutTwice::new),
        pool(
            "the array is written before it is known to fit",
            rules("P4"),
            rules(),
            WritesFirst::new),
        pool("a partial allocation is kept", rules("P4"), rules("P3", "P6", "P8"), KeepsPart::new),
        pool("only neighbouring pages are given", rules("P5"), rules("P3", "P8"), Neighbours::new),
        pool(
            "no pages at all is refused by a full pool",
            rules("P5"),
            rules("P3", "P8"),
            RefusesNothing::new),
        pool("reclaimers are asked last first", rules("P6"), rules("P13"), LastFirst::new),
        pool("a lock is held while reclaimers are asked", rules("P6"), rules(), Locked::new),
        pool("a second free is taken", rules("P7"), rules(), FreesTwice::new),
        pool("pages before a bad one are freed", rules("P7"), rules(), FreesPart::new),
        pool("owners are mixed up in the counts", rules("P8"), rules("P10"), MixesOwners::new),
        pool("no lock around allocation", rules("P9"), rules(), Unlocked::new),
        pool("silence about pages in use at close", rules("P10"), rules(), SilentClose::new),
        pool("a second close throws", rules("P10"), rules(), SecondCloseThrows::new),
        pool("memory is served after close", rules("P11"), rules("P10"), ServesAfterClose::new),
        pool("a run with a gap", rules("P13"), rules(), Gap::new),
        pool("half a run is kept", rules("P13"), rules(), KeepsHalf::new),
        pool("runs without asking reclaimers", rules("P13"), rules(), AsksNobody::new),
        pool("pages that overlap", rules("P12"), rules("P2", "P9"), Overlapping::new));
  }

  private static final class Misaligned extends ReferencePool {
    private final MemorySegment memory;

    Misaligned(PoolConfig config) {
      super(config);
      long bytes = (long) config.pageCount() * config.pageBytes();
      memory = java.lang.foreign.Arena.ofAuto().allocate(bytes + 8, 64).asSlice(8, bytes);
    }

    @Override
    public synchronized MemorySegment memory() {
      super.memory();
      return memory;
    }
  }

  private static final class ShortLastPage extends ReferencePool {
    ShortLastPage(PoolConfig config) {
      super(config);
    }

    @Override
    public MemorySegment page(int page) {
      MemorySegment whole = super.page(page);
      return page == pageCount() - 1 ? whole.asSlice(0, pageBytes() - 64) : whole;
    }
  }

  private static final class Unchecked extends ReferencePool {
    Unchecked(PoolConfig config) {
      super(config);
    }

    @Override
    public MemorySegment page(int page) {
      return super.page(Math.floorMod(page, pageCount()));
    }
  }

  private static final class HandsOutTwice extends ReferencePool {
    private int calls;

    HandsOutTwice(PoolConfig config) {
      super(config);
    }

    @Override
    public boolean allocate(PageOwner owner, int[] pages, int from, int count) {
      boolean done = super.allocate(owner, pages, from, count);
      if (done && count > 2 && ++calls % 7 == 0) {
        pages[from] = pages[from + 1];
      }
      return done;
    }
  }

  private static final class WritesFirst extends ReferencePool {
    WritesFirst(PoolConfig config) {
      super(config);
    }

    @Override
    public boolean allocate(PageOwner owner, int[] pages, int from, int count) {
      Arrays.fill(pages, from, from + count, 0);
      return super.allocate(owner, pages, from, count);
    }
  }

  /** Takes two pages together that one other page parts. */
  private static final class Gap extends ReferencePool {
    Gap(PoolConfig config) {
      super(config);
    }

    @Override
    public boolean allocateRun(PageOwner owner, int[] pages, int from, int count) {
      if (super.allocateRun(owner, pages, from, count)) {
        return true;
      }
      return stats().freePages() >= count && allocate(owner, pages, from, count);
    }
  }

  private static final class KeepsHalf extends ReferencePool {
    KeepsHalf(PoolConfig config) {
      super(config);
    }

    @Override
    public boolean allocateRun(PageOwner owner, int[] pages, int from, int count) {
      if (super.allocateRun(owner, pages, from, count)) {
        return true;
      }
      super.allocateRun(owner, new int[count / 2], 0, count / 2);
      return false;
    }
  }

  private static final class AsksNobody extends ReferencePool {
    AsksNobody(PoolConfig config) {
      super(config);
    }

    @Override
    public boolean allocateRun(PageOwner owner, int[] pages, int from, int count) {
      return takeRun(owner, pages, from, count);
    }
  }

  private static final class KeepsPart extends ReferencePool {
    KeepsPart(PoolConfig config) {
      super(config);
    }

    @Override
    public boolean allocate(PageOwner owner, int[] pages, int from, int count) {
      if (super.allocate(owner, pages, from, count)) {
        return true;
      }
      int free = stats().freePages();
      if (count == 5 && free == 4) {
        super.allocate(owner, new int[1], 0, 1);
      }
      return false;
    }
  }

  private static final class Neighbours extends ReferencePool {
    Neighbours(PoolConfig config) {
      super(config);
    }

    @Override
    public boolean allocate(PageOwner owner, int[] pages, int from, int count) {
      int[] got = new int[count];
      if (!super.allocate(owner, got, 0, count)) {
        return false;
      }
      int[] sorted = got.clone();
      Arrays.sort(sorted);
      if (count > 1 && sorted[count - 1] - sorted[0] >= 2 * count) {
        free(got, 0, count);
        return false;
      }
      System.arraycopy(got, 0, pages, from, count);
      return true;
    }
  }

  private static final class RefusesNothing extends ReferencePool {
    RefusesNothing(PoolConfig config) {
      super(config);
    }

    @Override
    public boolean allocate(PageOwner owner, int[] pages, int from, int count) {
      return (count > 0 || stats().freePages() > 0) && super.allocate(owner, pages, from, count);
    }
  }

  /** A pool that asks its reclaimers itself, in an order of its own. */
  private static class OwnOrder extends ReferencePool {
    final List<Reclaimer> mine = new ArrayList<>();

    OwnOrder(PoolConfig config) {
      super(config);
    }

    @Override
    public Registration onPressure(Reclaimer reclaimer) {
      mine.add(reclaimer);
      return () -> mine.remove(reclaimer);
    }
  }

  private static final class LastFirst extends OwnOrder {
    LastFirst(PoolConfig config) {
      super(config);
    }

    @Override
    public boolean allocate(PageOwner owner, int[] pages, int from, int count) {
      for (Reclaimer reclaimer : mine.reversed()) {
        int free = stats().freePages();
        if (free < count) {
          reclaimer.reclaim(count - free);
        }
      }
      return super.allocate(owner, pages, from, count);
    }
  }

  private static final class Locked extends ReferencePool {
    Locked(PoolConfig config) {
      super(config);
    }

    @Override
    public synchronized boolean allocate(PageOwner owner, int[] pages, int from, int count) {
      return super.allocate(owner, pages, from, count);
    }
  }

  private static final class FreesTwice extends ReferencePool {
    FreesTwice(PoolConfig config) {
      super(config);
    }

    @Override
    public synchronized void free(int[] pages, int from, int count) {
      try {
        super.free(pages, from, count);
      } catch (IllegalArgumentException e) {
        if (count > 1) {
          throw e;
        }
      }
    }
  }

  private static final class FreesPart extends ReferencePool {
    FreesPart(PoolConfig config) {
      super(config);
    }

    @Override
    public synchronized void free(int[] pages, int from, int count) {
      for (int i = 0; i < count; i++) {
        super.free(pages, from + i, 1);
      }
    }
  }

  private static final class MixesOwners extends ReferencePool {
    MixesOwners(PoolConfig config) {
      super(config);
    }

    @Override
    public synchronized PoolStats stats() {
      PoolStats s = super.stats();
      return PoolStats.builder()
          .pageBytes(s.pageBytes())
          .pages(s.pages())
          .kvCachePages(s.adapterPages())
          .adapterPages(s.kvCachePages())
          .otherPages(s.otherPages())
          .build();
    }
  }

  private static final class Unlocked extends ReferencePool {
    private final AtomicInteger inside = new AtomicInteger();

    Unlocked(PoolConfig config) {
      super(config);
    }

    @Override
    public boolean allocate(PageOwner owner, int[] pages, int from, int count) {
      int others = inside.getAndIncrement();
      LockSupport.parkNanos(1);
      try {
        boolean done = super.allocate(owner, pages, from, count);
        if (done && others > 0 && count > 1) {
          pages[from] = pages[from + 1];
        }
        return done;
      } finally {
        inside.decrementAndGet();
      }
    }
  }

  private static final class SilentClose extends ReferencePool {
    SilentClose(PoolConfig config) {
      super(config);
    }

    @Override
    public synchronized void close() {
      try {
        super.close();
      } catch (IllegalStateException e) {
        // Nobody is told.
      }
    }
  }

  private static final class SecondCloseThrows extends ReferencePool {
    private boolean closed;

    SecondCloseThrows(PoolConfig config) {
      super(config);
    }

    @Override
    public synchronized void close() {
      if (closed) {
        throw new IllegalStateException("closed before");
      }
      closed = true;
      super.close();
    }
  }

  private static final class ServesAfterClose extends ReferencePool {
    private final MemorySegment memory;

    ServesAfterClose(PoolConfig config) {
      super(config);
      memory = super.memory();
    }

    @Override
    public synchronized MemorySegment memory() {
      return memory;
    }
  }

  private static final class Overlapping extends ReferencePool {
    Overlapping(PoolConfig config) {
      super(config);
    }

    @Override
    public MemorySegment page(int page) {
      java.util.Objects.checkIndex(page, pageCount());
      return memory().asSlice((long) page * (pageBytes() - 64), pageBytes());
    }
  }
}
