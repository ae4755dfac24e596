package dev.lorikeet.conformance.pool;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertDoesNotThrow;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.conformance.trial.Crew;
import dev.lorikeet.conformance.trial.Expect;
import dev.lorikeet.conformance.trial.ProviderRules;
import dev.lorikeet.conformance.trial.Trial;
import dev.lorikeet.memory.PageOwner;
import dev.lorikeet.memory.PagePool;
import dev.lorikeet.memory.PagePoolProvider;
import dev.lorikeet.memory.PoolConfig;
import dev.lorikeet.memory.PoolStats;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
import java.util.Collections;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.SplittableRandom;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicIntegerArray;
import org.junit.jupiter.api.Test;

/** Rules P1 to P12 as tests. */
public abstract class PoolRules extends ProviderRules {
  private static final int PAGE_BYTES = 4096;

  protected PoolRules() {}

  /** Opens a pool that the suite closes. */
  protected abstract PagePool createPool(PoolConfig config);

  @Override
  protected abstract Optional<PagePoolProvider> provider();

  @Override
  protected final void openAndClose(Map<String, String> options) {
    provider()
        .orElseThrow()
        .open(PoolConfig.of(4L * PAGE_BYTES, PAGE_BYTES).withOptions(options))
        .close();
  }

  private PagePool pool(int pages) {
    return createPool(PoolConfig.of((long) pages * PAGE_BYTES, PAGE_BYTES).withOptions(options()));
  }

  private static int[] allocate(PagePool pool, PageOwner owner, int count) {
    int[] pages = new int[count];
    assertTrue(
        pool.allocate(owner, pages, 0, count),
        () -> "allocate: expected " + count + " of " + pool.stats().freePages() + " free pages");
    return pages;
  }

  private static void free(PagePool pool, int... pages) {
    pool.free(pages, 0, pages.length);
  }

  @Test
  public final void required_P1_memoryIsOneAlignedRegionThatStays() {
    for (int pageBytes : new int[] {4096, 4096 + 64, PoolConfig.DEFAULT_PAGE_BYTES}) {
      int pages = trial.between(1, 40);
      int waste = trial.between(0, pageBytes - 1);
      try (PagePool pool =
          createPool(
              PoolConfig.of((long) pages * pageBytes + waste, pageBytes).withOptions(options()))) {
        assertEquals(pageBytes, pool.pageBytes(), "pageBytes");
        assertEquals(pages, pool.pageCount(), "pageCount: bytes / pageBytes, rounded down");
        MemorySegment memory = pool.memory();
        assertTrue(memory.isNative(), "memory: expected to be off the heap");
        assertEquals((long) pages * pageBytes, memory.byteSize(), "size of memory");
        assertEquals(0, memory.address() % 64, "address of memory: remainder of 64");
        memory.set(ValueLayout.JAVA_BYTE, memory.byteSize() - 1, (byte) 7);
        free(pool, allocate(pool, PageOwner.OTHER, pages));
        assertEquals(memory.address(), pool.memory().address(), "address of memory");
        assertEquals(memory.byteSize(), pool.memory().byteSize(), "size of memory");
      }
    }
  }

  @Test
  public final void required_P2_pageIsItsSliceOfMemory() {
    try (PagePool pool = pool(9)) {
      for (int i = 0; i < 9; i++) {
        MemorySegment page = pool.page(i);
        assertEquals(pool.memory().address() + (long) i * PAGE_BYTES, page.address(), "address");
        assertEquals(PAGE_BYTES, page.byteSize(), "size of a page");
      }
      for (int bad : new int[] {-1, 9, Integer.MAX_VALUE, Integer.MIN_VALUE}) {
        assertThrows(IndexOutOfBoundsException.class, () -> pool.page(bad), "page " + bad);
      }
    }
  }

  @Test
  public final void required_P3_noPageIsOwnedTwice() {
    for (int round = 0; round < trial.trials(3); round++) {
      int count = trial.between(1, 130);
      try (PagePool pool = pool(count)) {
        List<Integer> owned = new ArrayList<>();
        BitSet taken = new BitSet();
        for (int step = 0; step < 200; step++) {
          int wanted = trial.between(0, 12);
          int[] pages = new int[wanted];
          if (trial.random().nextBoolean() && pool.allocate(PageOwner.KV_CACHE, pages, 0, wanted)) {
            for (int page : pages) {
              assertTrue(page >= 0 && page < count, () -> "page out of range: " + page);
              assertFalse(taken.get(page), () -> "page " + page + " was handed out twice");
              taken.set(page);
              owned.add(page);
            }
          } else if (!owned.isEmpty()) {
            Collections.shuffle(owned, new Random(trial.random().nextLong()));
            int page = owned.removeLast();
            taken.clear(page);
            free(pool, page);
          }
        }
        free(pool, owned.stream().mapToInt(Integer::intValue).toArray());
      }
    }
  }

  @Test
  public final void required_P13_aRunIsAdjacentPagesThatNobodyOwns() {
    for (int round = 0; round < trial.trials(3); round++) {
      int count = trial.between(4, 60);
      try (PagePool pool = pool(count)) {
        if (!pool.allocatesRuns()) {
          int[] pages = new int[2];
          assertFalse(pool.allocateRun(PageOwner.ADAPTER, pages, 0, 2), "a run of a pool without");
          assertEquals(0, pool.stats().usedPages(), "pages in use");
          continue;
        }
        int[] whole = new int[count + 1];
        assertTrue(pool.allocateRun(PageOwner.ADAPTER, whole, 1, count), "all pages as a run");
        assertRun(whole, 1, count);
        free(pool, Arrays.copyOfRange(whole, 1, count + 1));
        runsAmongSinglePages(pool, count);
      }
    }
  }

  /**
   * Single pages come and go while runs do; nothing is owned twice, and failures change nothing.
   */
  private void runsAmongSinglePages(PagePool pool, int count) {
    BitSet taken = new BitSet();
    List<int[]> owned = new ArrayList<>();
    for (int step = 0; step < 200; step++) {
      int[] pages = new int[trial.between(1, 5)];
      boolean run = trial.random().nextBoolean();
      PoolStats before = pool.stats();
      int[] old = pages.clone();
      boolean allocated =
          run
              ? pool.allocateRun(PageOwner.KV_CACHE, pages, 0, pages.length)
              : pool.allocate(PageOwner.OTHER, pages, 0, pages.length);
      if (allocated) {
        for (int page : pages) {
          boolean fresh = page >= 0 && page < count && !taken.get(page);
          if (!fresh && !run) {
            throw Trial.notApplicable("P3 has more to say: single page " + page);
          }
          assertTrue(fresh, () -> "page " + page + " of a run: not one that nobody owns");
          taken.set(page);
        }
        if (run) {
          assertRun(pages, 0, pages.length);
        }
        owned.add(pages);
      } else if (!run && !before.equals(pool.stats())) {
        throw Trial.notApplicable("P4 has more to say: stats after a failure");
      } else if (run) {
        assertEquals(before, pool.stats(), "stats after a failure");
        assertArrayEquals(old, pages, "pages after a failure");
        int wanted = pages.length;
        int from = 0;
        while (from < count) {
          int next = taken.nextSetBit(from);
          int free = (next < 0 ? count : next) - from;
          assertTrue(free < wanted, () -> "a run of " + wanted + " is free, and was not found");
          from += free + 1;
        }
      }
      if (!owned.isEmpty() && (!allocated || trial.random().nextInt(3) == 0)) {
        int[] freed = owned.remove(trial.between(0, owned.size() - 1));
        for (int page : freed) {
          taken.clear(page);
        }
        free(pool, freed);
      }
    }
    owned.forEach(pages -> free(pool, pages));
  }

  private static void assertRun(int[] pages, int from, int count) {
    for (int i = 1; i < count; i++) {
      assertEquals(pages[from + i - 1] + 1, pages[from + i], "the page behind the one before");
    }
  }

  @Test
  public final void required_P13_reclaimersAreAskedForRuns() {
    try (PagePool pool = pool(8)) {
      if (!pool.allocatesRuns()) {
        throw Trial.notApplicable("the pool gives no runs of pages");
      }
      int[] held = allocate(pool, PageOwner.ADAPTER, 8);
      List<Integer> left = new ArrayList<>();
      for (int page : held) {
        left.add(page);
      }
      try (PagePool.Registration pressure =
          pool.onPressure(
              wanted -> {
                int[] freed = left.stream().mapToInt(Integer::intValue).toArray();
                left.clear();
                free(pool, freed);
                return freed.length;
              })) {
        int[] run = new int[3];
        assertTrue(pool.allocateRun(PageOwner.OTHER, run, 0, 3), "a run once pages were reclaimed");
        assertRun(run, 0, 3);
        free(pool, run);
      }
    }
  }

  @Test
  public final void required_P4_allocationIsAllOrNothing() {
    try (PagePool pool = pool(10)) {
      int[] held = allocate(pool, PageOwner.ADAPTER, 6);
      PoolStats before = pool.stats();
      int[] pages = new int[12];
      Arrays.fill(pages, -7);
      assertFalse(pool.allocate(PageOwner.KV_CACHE, pages, 2, 5), "5 of 4 free pages");
      assertTrue(Arrays.stream(pages).allMatch(p -> p == -7), "the array was written to");
      assertEquals(before, pool.stats(), "stats after a refusal");
      assertTrue(pool.allocate(PageOwner.KV_CACHE, pages, 2, 4), "4 of 4 free pages");
      for (int i = 0; i < pages.length; i++) {
        int index = i;
        assertEquals(
            i >= 2 && i < 6,
            pages[i] != -7,
            () -> "entry " + index + ": expected pages[from .. from + count) to be written alone");
      }
      pool.free(pages, 2, 4);
      free(pool, held);
      assertEquals(10, pool.stats().freePages(), "free pages");
    }
  }

  @Test
  public final void required_P5_allocationSucceedsWheneverEnoughPagesAreFree() {
    for (int round = 0; round < trial.trials(3); round++) {
      int count = trial.between(2, 150);
      try (PagePool pool = pool(count)) {
        int[] pages = allocate(pool, PageOwner.OTHER, count);
        assertTrue(pool.allocate(PageOwner.OTHER, new int[0], 0, 0), "no pages of a full pool");
        List<Integer> kept = new ArrayList<>();
        List<Integer> freed = new ArrayList<>();
        for (int page : pages) {
          (trial.random().nextBoolean() ? kept : freed).add(page);
        }
        for (int page : freed) {
          free(pool, page);
        }
        int[] again = allocate(pool, PageOwner.KV_CACHE, freed.size());
        assertFalse(pool.allocate(PageOwner.KV_CACHE, new int[1], 0, 1), "a page of a full pool");
        free(pool, again);
        free(pool, kept.stream().mapToInt(Integer::intValue).toArray());
      }
    }
  }

  @Test
  public final void required_P6_reclaimersAreAskedInOrderUntilEnoughIsFree() {
    try (PagePool pool = pool(8)) {
      List<int[]> spare = new ArrayList<>();
      for (int i = 0; i < 4; i++) {
        spare.add(allocate(pool, PageOwner.ADAPTER, 2));
      }
      List<String> asked = new ArrayList<>();
      PagePool.Reclaimer first = wanted -> reclaim(pool, spare, asked, "first " + wanted, 1);
      PagePool.Reclaimer second = wanted -> reclaim(pool, spare, asked, "second " + wanted, 1);
      PagePool.Reclaimer third = wanted -> reclaim(pool, spare, asked, "third " + wanted, 4);
      PagePool.Registration registration = pool.onPressure(first);
      try (var r2 = pool.onPressure(second);
          var r3 = pool.onPressure(third)) {
        int[] got = allocate(pool, PageOwner.KV_CACHE, 3);
        assertEquals(List.of("first 3", "second 1"), asked, "reclaimers asked for 3 pages");
        asked.clear();
        registration.close();
        registration.close();
        int[] more = allocate(pool, PageOwner.KV_CACHE, 4);
        assertEquals(List.of("second 3", "third 1"), asked, "reclaimers asked for 4 pages");
        asked.clear();
        assertFalse(pool.allocate(PageOwner.KV_CACHE, new int[5], 0, 5), "5 pages of 1");
        assertEquals(List.of("second 4", "third 4"), asked, "reclaimers asked in vain");
        asked.clear();
        free(pool, allocate(pool, PageOwner.OTHER, 1));
        assertEquals(List.of(), asked, "reclaimers asked without need");
        free(pool, got);
        free(pool, more);
      }
    }
  }

  private static int reclaim(
      PagePool pool, List<int[]> spare, List<String> asked, String who, int most) {
    asked.add(who);
    int freed = 0;
    for (int i = 0; i < most && !spare.isEmpty(); i++) {
      int[] pages = spare.removeLast();
      pool.free(pages, 0, pages.length);
      freed += pages.length;
    }
    return freed;
  }

  @Test
  public final void required_P6_noLockIsHeldWhileReclaimersAreAsked() {
    try (PagePool pool = pool(4)) {
      int[] spare = allocate(pool, PageOwner.ADAPTER, 4);
      PagePool.Reclaimer fromAnotherThread =
          wanted -> {
            Crew.await(
                Crew.begin(
                    () -> {
                      pool.stats();
                      free(pool, spare);
                      return pool.stats();
                    }),
                trial.patience(),
                "free and stats on another thread while a reclaimer is asked");
            return spare.length;
          };
      try (var registration = pool.onPressure(fromAnotherThread)) {
        int[] pages =
            Crew.await(
                Crew.begin(() -> allocate(pool, PageOwner.KV_CACHE, 2)),
                trial.patience().multipliedBy(2),
                "allocate");
        free(pool, pages);
      }
    }
  }

  @Test
  public final void required_P7_badFreesAreRejectedAndFreeNothing() {
    try (PagePool pool = pool(6)) {
      int[] pages = allocate(pool, PageOwner.KV_CACHE, 4);
      int[] rest = allocate(pool, PageOwner.OTHER, 2);
      int unowned = rest[0];
      free(pool, unowned);
      PoolStats before = pool.stats();
      Map<String, int[]> bad =
          Map.of(
              "a page that is not allocated", new int[] {pages[0], unowned},
              "a page given twice", new int[] {pages[1], pages[0], pages[1]},
              "a negative page", new int[] {pages[2], -1},
              "a page past the end", new int[] {pages[3], 6});
      bad.forEach(
          (what, numbers) -> {
            assertThrows(IllegalArgumentException.class, () -> free(pool, numbers), what);
            assertEquals(before, pool.stats(), () -> "stats after free of " + what);
          });
      int[] free = allocate(pool, PageOwner.OTHER, 1);
      assertEquals(unowned, free[0], "the one free page");
      free(pool, pages);
      assertThrows(IllegalArgumentException.class, () -> free(pool, pages[0]), "a second free");
      free(pool, free[0], rest[1]);
      assertEquals(6, pool.stats().freePages(), "free pages");
    }
  }

  @Test
  public final void required_P8_statsAddUpByOwner() {
    int count = 64;
    try (PagePool pool = pool(count)) {
      Map<PageOwner, List<Integer>> owned = new EnumMap<>(PageOwner.class);
      for (PageOwner owner : PageOwner.values()) {
        owned.put(owner, new ArrayList<>());
      }
      for (int step = 0; step < trial.trials(300); step++) {
        PageOwner owner = List.of(PageOwner.values()).get(trial.between(0, 2));
        List<Integer> mine = owned.getOrDefault(owner, List.of());
        int[] pages = new int[trial.between(0, 5)];
        if (trial.random().nextBoolean() && pool.allocate(owner, pages, 0, pages.length)) {
          Arrays.stream(pages).forEach(mine::add);
        } else if (!mine.isEmpty()) {
          free(pool, mine.removeLast());
        }
        PoolStats stats = pool.stats();
        assertEquals(PAGE_BYTES, stats.pageBytes(), "pageBytes");
        assertEquals(count, stats.pages(), "pages");
        owned.forEach(
            (o, list) -> assertEquals(list.size(), stats.pages(o), () -> "pages of " + o));
      }
      owned.values().forEach(l -> free(pool, l.stream().mapToInt(Integer::intValue).toArray()));
      assertEquals(0, pool.stats().usedPages(), "used pages");
    }
  }

  @Test
  public final void stochastic_P9_threadsNeverShareAPage() {
    int count = 48;
    int threads = 4;
    try (PagePool pool = pool(count)) {
      AtomicIntegerArray owners = new AtomicIntegerArray(count);
      AtomicInteger refusals = new AtomicInteger();
      long seed = trial.random().nextLong();
      Crew.run(
          threads,
          trial.patience(),
          thread -> {
            var random = new SplittableRandom(seed + thread);
            for (int step = 0; step < trial.trials(3000); step++) {
              int[] pages = new int[random.nextInt(1, 16)];
              if (!pool.allocate(PageOwner.KV_CACHE, pages, 0, pages.length)) {
                refusals.incrementAndGet();
                continue;
              }
              for (int page : pages) {
                assertEquals(0, owners.getAndSet(page, thread + 1), "owner of page " + page);
                pool.page(page).set(ValueLayout.JAVA_INT, 64, thread);
              }
              for (int page : pages) {
                assertEquals(thread, pool.page(page).get(ValueLayout.JAVA_INT, 64), "content");
                assertTrue(owners.compareAndSet(page, thread + 1, 0), "page changed its owner");
              }
              pool.free(pages, 0, pages.length);
            }
          });
      assertEquals(0, pool.stats().usedPages(), "used pages after all threads ended");
      free(pool, allocate(pool, PageOwner.OTHER, count));
    }
  }

  @Test
  public final void required_P10_closeIsIdempotentAndTellsOfPagesInUse() {
    PagePool empty = pool(3);
    empty.close();
    assertDoesNotThrow(empty::close, "second close");

    PagePool pool = pool(40);
    allocate(pool, PageOwner.KV_CACHE, 13);
    allocate(pool, PageOwner.ADAPTER, 17);
    IllegalStateException refusal =
        assertThrows(IllegalStateException.class, pool::close, "close with pages in use");
    Expect.message(refusal, "13", "17");
    assertDoesNotThrow(pool::close, "second close");
    Expect.closed("memory", pool::memory);
  }

  @Test
  public final void required_P11_useAfterCloseIsAnswered() {
    PagePool pool = pool(3);
    int[] pages = allocate(pool, PageOwner.KV_CACHE, 2);
    free(pool, pages);
    pool.close();
    Expect.closed("allocate", () -> pool.allocate(PageOwner.OTHER, new int[1], 0, 1));
    Expect.closed("free", () -> free(pool, pages));
    Expect.closed("memory", pool::memory);
  }

  @Test
  public final void required_P12_writingAPageChangesNoOther() {
    int count = 12;
    try (PagePool pool = pool(count)) {
      int[] pages = allocate(pool, PageOwner.OTHER, count);
      byte[][] content = new byte[count][PAGE_BYTES];
      var random = new Random(trial.random().nextLong());
      for (int round = 0; round < trial.trials(2); round++) {
        for (int i = 0; i < count; i++) {
          random.nextBytes(content[i]);
          MemorySegment.copy(
              content[i], 0, pool.page(pages[i]), ValueLayout.JAVA_BYTE, 0, PAGE_BYTES);
        }
        for (int i = 0; i < count; i++) {
          assertArrayEquals(
              content[i], pool.page(pages[i]).toArray(ValueLayout.JAVA_BYTE), "page " + pages[i]);
        }
      }
      free(pool, pages);
    }
  }
}
