package dev.lorikeet.jlama.kernel;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.executor.Workers.ShardTask;
import dev.lorikeet.jlama.kernel.WorkerTeam.Phases;
import java.lang.management.ManagementFactory;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicIntegerArray;
import java.util.concurrent.locks.LockSupport;
import java.util.random.RandomGenerator;
import java.util.random.RandomGeneratorFactory;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(60)
class WorkerTeamTest {
  private interface Part {
    void run(int phase, Shard shard);
  }

  /** As many phases as there are numbers of parts. */
  private record Plan(boolean repeatable, Part part, List<Integer> parts) implements Phases {
    static Plan of(boolean repeatable, Part part, int... parts) {
      return new Plan(repeatable, part, Arrays.stream(parts).boxed().toList());
    }

    @Override
    public int parts(int phase) {
      return parts.get(phase);
    }

    @Override
    public boolean repeatable(int phase) {
      return repeatable;
    }

    @Override
    public void run(int phase, Shard shard) {
      part.run(phase, shard);
    }

    void on(WorkerTeam team) {
      team.run(this, 0, parts.size());
    }
  }

  private static void await(CountDownLatch latch) {
    try {
      latch.await();
    } catch (InterruptedException e) {
      throw new IllegalStateException(e);
    }
  }

  @Test
  void everyShardOfAnExecutorsTaskRunsOnce() {
    for (int workers = 1; workers <= 4; workers++) {
      try (WorkerTeam team = new WorkerTeam("test", workers)) {
        AtomicIntegerArray runs = new AtomicIntegerArray(workers);
        int expected = workers;
        for (int round = 0; round < 100; round++) {
          team.run(
              (shard, shards) -> {
                assertEquals(expected, shards);
                runs.incrementAndGet(shard);
              });
        }
        for (int shard = 0; shard < workers; shard++) {
          assertEquals(100, runs.get(shard));
        }
      }
    }
  }

  @Test
  void aPhaseBeginsWhenTheOneBeforeHasEndedAndSeesWhatItWrote() {
    // Idle threads park at once, so that wake-ups are exercised too.
    for (long spinNanos : new long[] {0, 100_000}) {
      for (int workers : new int[] {1, 2, 5}) {
        try (WorkerTeam team = new WorkerTeam("test", workers, spinNanos)) {
          int[] cells = new int[7];
          int[] sums = new int[3];
          for (int round = 0; round < 300; round++) {
            int value = round;
            Part part =
                (phase, shard) -> {
                  if (phase == 0) {
                    for (int i = shard.first(7); i < shard.end(7); i++) {
                      cells[i] = value + i;
                    }
                  } else if (phase == 2) {
                    int sum = 0;
                    for (int cell : cells) {
                      sum += cell;
                    }
                    sums[shard.index()] = sum;
                  } else {
                    cells[0]++; // one part: nobody else does
                  }
                };
            Plan.of(false, part, 4, 0, 3, 1).on(team);
            assertArrayEquals(new int[] {7 * value + 21, 7 * value + 21, 7 * value + 21}, sums);
            assertEquals(value + 1, cells[0]);
          }
        }
      }
    }
  }

  @Test
  void aPartWhoseWorkerIsLateIsComputedByAnotherAndTheLateOneStoresNothing() throws Exception {
    try (WorkerTeam team = new WorkerTeam("test", 2)) {
      Thread caller = Thread.currentThread();
      CountDownLatch bothBegun = new CountDownLatch(2);
      CountDownLatch over = new CountDownLatch(1);
      CountDownLatch lateDone = new CountDownLatch(1);
      AtomicBoolean lateStored = new AtomicBoolean();
      AtomicIntegerArray stores = new AtomicIntegerArray(2);
      Part part =
          (phase, shard) -> {
            bothBegun.countDown();
            await(bothBegun);
            if (!Thread.currentThread().equals(caller)) {
              await(over);
              lateStored.set(shard.beginStore());
              lateDone.countDown();
              throw new IllegalStateException("of a part that was taken away");
            }
            assertTrue(shard.beginStore());
            stores.incrementAndGet(shard.index());
            shard.endStore();
          };
      Plan.of(true, part, 2).on(team);
      assertEquals("[1, 1]", stores.toString());
      over.countDown();
      await(lateDone);
      assertFalse(lateStored.get());
      team.quiesce();
      Plan.of(true, (phase, shard) -> {}, 2).on(team); // what the late one threw is nobody's
    }
  }

  @Test
  void aRunGoesOnWithoutItsCaller() {
    try (WorkerTeam team = new WorkerTeam("test", 2)) {
      Thread caller = Thread.currentThread();
      CountDownLatch bothBegun = new CountDownLatch(2);
      CountDownLatch lastPhase = new CountDownLatch(1);
      Part part =
          (phase, shard) -> {
            if (phase == 0) {
              bothBegun.countDown();
              await(bothBegun);
              if (Thread.currentThread().equals(caller)) {
                await(lastPhase);
              }
            } else if (phase == 2) {
              lastPhase.countDown();
            }
          };
      Plan.of(true, part, 2, 1, 1).on(team);
      assertEquals(0, lastPhase.getCount());
    }
  }

  @Test
  void aPartThatMayNotBeRepeatedIsWaitedFor() {
    try (WorkerTeam team = new WorkerTeam("test", 2)) {
      Thread caller = Thread.currentThread();
      CountDownLatch bothBegun = new CountDownLatch(2);
      AtomicIntegerArray runs = new AtomicIntegerArray(2);
      Part part =
          (phase, shard) -> {
            bothBegun.countDown();
            await(bothBegun);
            if (!Thread.currentThread().equals(caller)) {
              LockSupport.parkNanos(5_000_000); // longer than anyone's patience
            }
            runs.incrementAndGet(shard.index());
          };
      Plan.of(false, part, 2).on(team);
      assertEquals("[1, 1]", runs.toString());
    }
  }

  @Test
  void resultsAreTheSameWhoeverIsLate() {
    long seed = System.nanoTime();
    RandomGenerator random = RandomGeneratorFactory.of("L64X128MixRandom").create(seed);
    for (int round = 0; round < 40; round++) {
      int workers = 2 + random.nextInt(5);
      int[] parts = random.ints(30, 0, 9).toArray();
      long[] expected = new long[8];
      long[] found = new long[8];
      int late = 1 + random.nextInt(200);
      try (WorkerTeam alone = new WorkerTeam("alone", 1);
          WorkerTeam team = new WorkerTeam("test", workers, random.nextInt(3) * 20_000L)) {
        for (int run = 0; run < 20; run++) {
          Plan.of(true, mix(expected, new AtomicInteger(), Integer.MAX_VALUE), parts).on(alone);
          Plan.of(true, mix(found, new AtomicInteger(), late), parts).on(team);
          assertArrayEquals(expected, found, "seed " + seed);
        }
        team.quiesce();
      }
    }
  }

  /** Each part changes a cell of its own by what all cells of the phase before were. */
  private static Part mix(long[] cells, AtomicInteger calls, int late) {
    long[][] former = {cells.clone(), cells.clone()};
    return (phase, shard) -> {
      // phases take turns in reading one array and writing the other, as layers do with buffers
      long[] from = former[phase % 2];
      long[] to = former[1 - phase % 2];
      int mine = shard.index();
      long sum = phase;
      for (long cell : from) {
        sum = sum * 31 + cell;
      }
      if (calls.incrementAndGet() % late == 0) {
        LockSupport.parkNanos(200_000);
      }
      if (shard.beginStore()) {
        to[mine % 8] = sum * 31 + mine;
        cells[mine % 8] = sum * 31 + mine;
        shard.endStore();
      }
    };
  }

  @Test
  void anExceptionOfAnyPartReachesTheCallerAndTheTeamGoesOn() {
    for (int workers : new int[] {1, 3}) {
      try (WorkerTeam team = new WorkerTeam("test", workers)) {
        for (int failing = 0; failing < 3; failing++) {
          int bad = failing;
          var failure = new IllegalStateException("part " + bad);
          List<Integer> later = new ArrayList<>();
          Part part =
              (phase, shard) -> {
                if (phase == 1) {
                  later.add(shard.index());
                } else if (shard.index() == bad) {
                  assertTrue(shard.beginStore());
                  throw failure;
                }
              };
          assertSame(
              failure,
              assertThrows(IllegalStateException.class, () -> Plan.of(true, part, 3, 1).on(team)));
          assertEquals(List.of(), later);
          AtomicInteger runs = new AtomicInteger();
          Plan.of(true, (phase, shard) -> runs.incrementAndGet(), 1, 1).on(team);
          assertEquals(2, runs.get());
        }
      }
    }
  }

  @Test
  void aRunAllocatesNothing() {
    var threads = (com.sun.management.ThreadMXBean) ManagementFactory.getThreadMXBean();
    try (WorkerTeam team = new WorkerTeam("test", 2)) {
      ShardTask lent = (shard, shards) -> {};
      Plan plan = Plan.of(true, (phase, shard) -> {}, 2, 1, 5);
      long allocated = Long.MAX_VALUE;
      for (int attempt = 0; attempt < 20 && allocated > 0; attempt++) {
        long before = threads.getCurrentThreadAllocatedBytes();
        for (int i = 0; i < 1_000; i++) {
          team.run(lent);
          plan.on(team);
        }
        allocated = (threads.getCurrentThreadAllocatedBytes() - before) / 1_000;
      }
      assertEquals(0, allocated);
    }
  }

  @Test
  void closeEndsTheThreadsAndRefusesFurtherRuns() {
    Set<Thread> threads = ConcurrentHashMap.newKeySet();
    CountDownLatch both = new CountDownLatch(2);
    WorkerTeam team = new WorkerTeam("test", 2);
    team.run(
        (shard, shards) -> {
          threads.add(Thread.currentThread());
          both.countDown();
          await(both);
        });
    team.close();
    team.close();
    threads.remove(Thread.currentThread());
    assertEquals(1, threads.size());
    threads.forEach(thread -> assertFalse(thread.isAlive()));
    assertThrows(IllegalStateException.class, () -> team.run((shard, shards) -> {}));
    var refusal = assertThrows(IllegalArgumentException.class, () -> new WorkerTeam("test", 0));
    assertTrue(String.valueOf(refusal.getMessage()).contains("parallelism"));
  }
}
