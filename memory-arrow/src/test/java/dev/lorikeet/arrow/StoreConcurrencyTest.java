package dev.lorikeet.arrow;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.adapter.AdapterLease;
import dev.lorikeet.adapter.AdapterSource;
import dev.lorikeet.adapter.AdapterStore;
import dev.lorikeet.adapter.LoraWeights;
import dev.lorikeet.adapter.StoreConfig;
import dev.lorikeet.memory.PageOwner;
import dev.lorikeet.memory.PagePool;
import dev.lorikeet.memory.PoolConfig;
import dev.lorikeet.shape.Projection;
import dev.lorikeet.shape.TargetModule;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Random;
import java.util.concurrent.Callable;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Many threads on one store. */
class StoreConcurrencyTest {
  private static final int PAGE = 4096;
  private static final int THREADS = 16;
  private static final int ADAPTERS = 6;
  private static final TargetModule Q0 = TargetModule.of(0, Projection.Q);

  @TempDir Path directory;

  /** Writes an adapter whose weights are all the same number, so that a mix-up shows. */
  private Path write(int number) {
    PeftWriter writer =
        PeftWriter.of(PeftWriter.SHAPE, 8 + number, "F32", EnumSet.of(Projection.Q), new Random(1));
    for (var tensor : writer.tensors.values()) {
      var data = java.nio.ByteBuffer.wrap(tensor.data).order(java.nio.ByteOrder.LITTLE_ENDIAN);
      while (data.hasRemaining()) {
        data.putFloat(number);
      }
    }
    return writer.write(directory.resolve("adapter-" + number));
  }

  private static void assertAll(LoraWeights weights, float number) {
    for (var factor : List.of(weights.a(), weights.b())) {
      for (int r = 0; r < factor.rank(); r++) {
        for (int i = 0; i < factor.rowLength(); i++) {
          assertEquals(
              number, factor.memory().get(ValueLayout.JAVA_FLOAT, factor.rowOffset(r) + 4L * i));
        }
      }
    }
  }

  @Test
  void anyInterleavingKeepsWeightsWholeAndGivesEveryPageBack() throws Exception {
    long seed = new Random().nextLong();
    System.out.println("anyInterleavingKeepsWeightsWholeAndGivesEveryPageBack seed " + seed);
    List<Path> paths = new ArrayList<>();
    for (int i = 0; i < ADAPTERS; i++) {
      paths.add(write(i));
    }
    try (PagePool pool = new ArrowPagePoolProvider().open(PoolConfig.of(9L * PAGE, PAGE));
        var threads = Executors.newFixedThreadPool(THREADS)) {
      try (AdapterStore store =
          new ArrowAdapterStoreProvider().open(StoreConfig.of(PeftWriter.SHAPE, pool))) {
        for (int i = 0; i < ADAPTERS; i++) {
          store.register(new AdapterSource("a" + i, paths.get(i)));
        }
        List<Callable<Integer>> work = new ArrayList<>();
        for (int t = 0; t < THREADS; t++) {
          var random = new Random(seed + t);
          work.add(() -> run(store, pool, paths, random));
        }
        int served = 0;
        for (var done : threads.invokeAll(work)) {
          served += done.get();
        }
        assertTrue(served > 0);
        awaitHints(store, pool);
        var stats = store.stats();
        assertEquals(0, stats.leased());
        assertEquals(pool.stats().adapterPages(), stats.residentPages());
        assertEquals(pool.stats().usedPages(), stats.residentPages());
      }
      assertEquals(0, pool.stats().usedPages());
    }
  }

  /**
   * Waits, a minute at most, for hints that are still being read: their pages are not resident yet.
   */
  private static void awaitHints(AdapterStore store, PagePool pool) {
    long end = System.nanoTime() + TimeUnit.MINUTES.toNanos(1);
    while (store.stats().residentPages() != pool.stats().adapterPages()
        && System.nanoTime() < end) {
      Thread.onSpinWait();
    }
  }

  private static int run(AdapterStore store, PagePool pool, List<Path> paths, Random random) {
    int served = 0;
    for (int step = 0; step < 150; step++) {
      int number = random.nextInt(ADAPTERS);
      String id = "a" + number;
      switch (random.nextInt(12)) {
        case 0 -> store.unregister(id);
        case 1, 2 -> store.register(new AdapterSource(id, paths.get(number)));
        case 3 -> store.prefetch(List.of(id, "a" + random.nextInt(ADAPTERS)));
        case 4 -> {
          int[] pages = new int[1 + random.nextInt(4)];
          if (pool.allocate(PageOwner.KV_CACHE, pages, 0, pages.length)) {
            pool.free(pages, 0, pages.length);
          }
        }
        case 5 ->
            store
                .acquireIfResident(id)
                .ifPresent(
                    lease -> {
                      assertAll(lease.weights(Q0).orElseThrow(), number);
                      lease.close();
                    });
        default -> {
          try (AdapterLease lease = store.acquire(id)) {
            assertAll(lease.weights(Q0).orElseThrow(), number);
            served++;
          } catch (LorikeetException e) {
            assertTrue(
                e.code() == LorikeetException.Code.POOL_EXHAUSTED
                    || e.code() == LorikeetException.Code.ADAPTER_NOT_FOUND,
                e.toString());
          }
        }
      }
    }
    return served;
  }

  @Test
  void concurrentAcquiresOfOneAdapterLoadItOnce() throws Exception {
    Path path = write(3);
    try (PagePool pool = new ArrowPagePoolProvider().open(PoolConfig.of(9L * PAGE, PAGE));
        AdapterStore store =
            new ArrowAdapterStoreProvider().open(StoreConfig.of(PeftWriter.SHAPE, pool));
        var threads = Executors.newFixedThreadPool(THREADS)) {
      store.register(new AdapterSource("a", path));
      var start = new CountDownLatch(1);
      List<java.util.concurrent.Future<Integer>> all = new ArrayList<>();
      for (int t = 0; t < THREADS; t++) {
        all.add(
            threads.submit(
                () -> {
                  start.await();
                  try (AdapterLease lease = store.acquire("a")) {
                    return lease.weights(Q0).orElseThrow().rank();
                  }
                }));
      }
      start.countDown();
      for (var each : all) {
        assertEquals(11, each.get());
      }
      assertEquals(1, store.stats().loads());
    }
  }

  @Test
  void closingWhileOthersAcquireLeavesNoPageBehind() throws Exception {
    List<Path> paths = new ArrayList<>();
    for (int i = 0; i < ADAPTERS; i++) {
      paths.add(write(i));
    }
    try (var threads = Executors.newFixedThreadPool(THREADS)) {
      for (int round = 0; round < 20; round++) {
        try (PagePool pool = new ArrowPagePoolProvider().open(PoolConfig.of(20L * PAGE, PAGE))) {
          AdapterStore store =
              new ArrowAdapterStoreProvider().open(StoreConfig.of(PeftWriter.SHAPE, pool));
          for (int i = 0; i < ADAPTERS; i++) {
            store.register(new AdapterSource("a" + i, paths.get(i)));
          }
          var start = new CountDownLatch(1);
          List<java.util.concurrent.Future<?>> all = new ArrayList<>();
          for (int t = 0; t < THREADS; t++) {
            int number = t % ADAPTERS;
            all.add(threads.submit(() -> acquireOnce(store, number, start)));
          }
          start.countDown();
          try {
            store.close();
          } catch (IllegalStateException e) {
            Expect.mentions(e, "leases on [a"); // a lease that was quicker than the close
          }
          for (var each : all) {
            each.get();
          }
          assertEquals(0, pool.stats().usedPages());
        }
      }
    }
  }

  private static Void acquireOnce(AdapterStore store, int number, CountDownLatch start)
      throws InterruptedException {
    start.await();
    try {
      store.prefetch(List.of("a" + (number + 1) % ADAPTERS));
      try (AdapterLease lease = store.acquire("a" + number)) {
        assertAll(lease.weights(Q0).orElseThrow(), number);
      }
    } catch (IllegalStateException e) {
      Expect.mentions(e, "closed");
    } catch (LorikeetException e) {
      assertEquals(LorikeetException.Code.CLOSED, e.code());
    }
    return null;
  }
}
