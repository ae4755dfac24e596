package dev.lorikeet.arrow.pool;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertDoesNotThrow;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.arrow.ArrowPagePoolProvider;
import dev.lorikeet.arrow.Expect;
import dev.lorikeet.memory.PageOwner;
import dev.lorikeet.memory.PagePool;
import dev.lorikeet.memory.PoolConfig;
import dev.lorikeet.plugin.Availability;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.concurrent.Executors;
import java.util.concurrent.atomic.AtomicIntegerArray;
import org.junit.jupiter.api.Test;

class ArrowPagePoolTest {
  private static final int PAGE = 4096;

  private static PagePool pool(int pages) {
    return new ArrowPagePoolProvider().open(PoolConfig.of((long) pages * PAGE, PAGE));
  }

  @Test
  void memoryIsOneAlignedZeroedRegionOfAllPages() {
    try (PagePool pool = pool(10)) {
      MemorySegment memory = pool.memory();
      assertEquals(10L * PAGE, memory.byteSize());
      assertEquals(0, memory.address() % 4096);
      for (long i = 0; i < memory.byteSize(); i += 8) {
        assertEquals(0, memory.get(ValueLayout.JAVA_LONG, i));
      }
      assertEquals(memory.address() + 3L * PAGE, pool.page(3).address());
      assertEquals(PAGE, pool.page(3).byteSize());
      assertThrows(IndexOutOfBoundsException.class, () -> pool.page(10));
      assertThrows(IndexOutOfBoundsException.class, () -> pool.page(-1));
    }
  }

  @Test
  void allocationIsAllOrNothingAndLeavesTheArrayAlone() {
    try (PagePool pool = pool(4)) {
      int[] pages = {-7, -7, -7, -7, -7, -7};
      assertTrue(pool.allocate(PageOwner.KV_CACHE, pages, 1, 3));
      assertEquals(-7, pages[0]);
      assertEquals(-7, pages[4]);
      assertEquals(Set.of(0, 1, 2), Set.of(pages[1], pages[2], pages[3]));
      int[] before = pages.clone();
      assertFalse(pool.allocate(PageOwner.ADAPTER, pages, 0, 2));
      assertFalse(pool.allocate(PageOwner.ADAPTER, pages, 0, 5));
      assertArrayEquals(before, pages);
      assertEquals(3, pool.stats().kvCachePages());
      assertEquals(0, pool.stats().adapterPages());
      assertTrue(pool.allocate(PageOwner.OTHER, pages, 0, 0));
      assertThrows(
          IndexOutOfBoundsException.class, () -> pool.allocate(PageOwner.OTHER, pages, 5, 2));
      pool.free(pages, 1, 3);
      assertEquals(4, pool.stats().freePages());
    }
  }

  @Test
  void freeingAPageThatIsForeignFreeOrNamedTwiceFreesNone() {
    try (PagePool pool = pool(4)) {
      int[] pages = new int[3];
      assertTrue(pool.allocate(PageOwner.ADAPTER, pages, 0, 3));
      for (int wrong : new int[] {pages[0], 3, 4, -1, Integer.MAX_VALUE}) {
        int[] argument = {pages[0], pages[1], wrong};
        var thrown = assertThrows(IllegalArgumentException.class, () -> pool.free(argument, 0, 3));
        Expect.mentions(thrown, "pages[2]");
        Expect.mentions(thrown, "found " + wrong);
        assertEquals(3, pool.stats().adapterPages());
      }
      pool.free(pages, 0, 3);
      assertThrows(IllegalArgumentException.class, () -> pool.free(pages, 0, 1));
      assertEquals(4, pool.stats().freePages());
    }
  }

  @Test
  void reclaimersAreAskedInOrderWithoutTheLockUntilThereIsRoom() throws Exception {
    try (PagePool pool = pool(4);
        var other = Executors.newSingleThreadExecutor()) {
      int[] held = new int[4];
      assertTrue(pool.allocate(PageOwner.ADAPTER, held, 0, 4));
      List<String> asked = new ArrayList<>();
      var first =
          pool.onPressure(
              wanted -> {
                asked.add("first " + wanted);
                return 0;
              });
      pool.onPressure(
          wanted -> {
            asked.add("second " + wanted);
            try {
              other.submit(() -> pool.free(held, 0, 2)).get();
            } catch (Exception e) {
              throw new AssertionError(e);
            }
            return 2;
          });
      pool.onPressure(
          wanted -> {
            asked.add("third " + wanted);
            return 0;
          });
      int[] got = new int[2];
      assertTrue(pool.allocate(PageOwner.KV_CACHE, got, 0, 2));
      assertEquals(List.of("first 2", "second 2"), asked);
      first.close();
      first.close();
      asked.clear();
      assertTrue(pool.allocate(PageOwner.KV_CACHE, got, 0, 0));
      assertEquals(List.of(), asked);
      pool.free(got, 0, 2);
      pool.free(held, 2, 2);
    }
  }

  @Test
  void closeTellsWhatIsStillAllocatedReleasesAllTheSameAndIsIdempotent() {
    PagePool pool = pool(4);
    MemorySegment memory = pool.memory();
    assertTrue(pool.allocate(PageOwner.KV_CACHE, new int[2], 0, 2));
    assertTrue(pool.allocate(PageOwner.ADAPTER, new int[1], 0, 1));
    var thrown = assertThrows(IllegalStateException.class, pool::close);
    Expect.mentions(thrown, "2 KV_CACHE, 1 ADAPTER");
    assertFalse(memory.scope().isAlive());
    assertDoesNotThrow(pool::close);
    assertThrows(
        IllegalStateException.class, () -> pool.allocate(PageOwner.OTHER, new int[1], 0, 1));
    assertThrows(IllegalStateException.class, () -> pool.free(new int[1], 0, 1));
    assertThrows(IllegalStateException.class, pool::memory);
  }

  @Test
  void noPageIsEverOwnedTwiceUnderSixteenThreads() throws Exception {
    int pages = 64;
    try (PagePool pool = pool(pages);
        var threads = Executors.newFixedThreadPool(16)) {
      var owners = new AtomicIntegerArray(pages);
      List<Callable<Void>> work = new ArrayList<>();
      for (int t = 0; t < 16; t++) {
        long seed = 42L + t;
        PageOwner owner = List.of(PageOwner.values()).get(t % 3);
        work.add(
            () -> {
              var random = new Random(seed);
              for (int i = 0; i < 2000; i++) {
                int[] mine = new int[1 + random.nextInt(12)];
                if (pool.allocate(owner, mine, 0, mine.length)) {
                  for (int page : mine) {
                    assertEquals(1, owners.incrementAndGet(page));
                  }
                  for (int page : mine) {
                    owners.decrementAndGet(page);
                  }
                  pool.free(mine, 0, mine.length);
                }
              }
              return null;
            });
      }
      for (var done : threads.invokeAll(work)) {
        done.get();
      }
      assertEquals(pages, pool.stats().freePages());
      int[] all = new int[pages];
      assertTrue(pool.allocate(PageOwner.OTHER, all, 0, pages));
      Set<Integer> distinct = new HashSet<>();
      for (int page : all) {
        distinct.add(page);
      }
      assertEquals(pages, distinct.size());
      pool.free(all, 0, pages);
    }
  }

  @Test
  void memoryThatCannotBeHadIsAnErrorWithACode() {
    long absurd = 4096L * (Integer.MAX_VALUE - 8);
    var thrown =
        assertThrows(
            LorikeetException.class,
            () -> new ArrowPagePoolProvider().open(PoolConfig.of(absurd, 4096)));
    assertEquals(LorikeetException.Code.POOL_EXHAUSTED, thrown.code());
    Expect.mentions(thrown, Long.toString(absurd));
  }

  @Test
  void optionsAreCheckedByNameAndValue() {
    var provider = new ArrowPagePoolProvider();
    provider.open(PoolConfig.of(PAGE, PAGE).withOptions(Map.of("pretouch", "true"))).close();
    for (var bad : List.of(Map.of("pretouch", "yes"), Map.of("pretuoch", "true"))) {
      var thrown =
          assertThrows(
              IllegalArgumentException.class,
              () -> provider.open(PoolConfig.of(PAGE, PAGE).withOptions(bad)));
      Expect.mentions(thrown, bad.keySet().iterator().next());
    }
  }

  @Test
  void theProviderIsAvailableWithTheFlagsOfThisBuild() {
    assertInstanceOf(Availability.Available.class, new ArrowPagePoolProvider().availability());
  }

  @Test
  void arrowCountsTheOneAllocationAndSeesItReleased() {
    var factory = new dev.lorikeet.arrow.offheap.FfmAllocationManager.FfmFactory();
    try (var allocator = ArrowPagePool.allocator(factory, 1000)) {
      try (var buffer = allocator.buffer(1000)) {
        assertEquals(1000, allocator.getAllocatedMemory());
        assertEquals(buffer.memoryAddress(), factory.latest().address());
        buffer.setLong(992, 42);
        assertEquals(42, factory.latest().get(ValueLayout.JAVA_LONG, 992));
      }
      assertEquals(0, allocator.getAllocatedMemory());
      assertFalse(factory.latest().scope().isAlive());
    }
  }
}
