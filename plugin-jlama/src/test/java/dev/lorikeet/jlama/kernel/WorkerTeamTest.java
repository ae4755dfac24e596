package dev.lorikeet.jlama.kernel;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.executor.Workers.ShardTask;
import java.lang.management.ManagementFactory;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicIntegerArray;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(60)
class WorkerTeamTest {
  @Test
  void everyShardRunsOnceOnItsOwnThreadAndTheCallerIsShardZero() {
    try (WorkerTeam team = new WorkerTeam("test", 3)) {
      Set<Thread> threads = ConcurrentHashMap.newKeySet();
      AtomicIntegerArray runs = new AtomicIntegerArray(3);
      Thread caller = Thread.currentThread();
      team.run(
          (shard, shards) -> {
            assertEquals(3, shards);
            assertEquals(shard == 0, Thread.currentThread().equals(caller));
            threads.add(Thread.currentThread());
            runs.incrementAndGet(shard);
          });
      assertEquals(3, threads.size());
      assertEquals("[1, 1, 1]", runs.toString());
    }
  }

  @Test
  void aTaskIsGivenTheShardOfItsWorkerAndShardsShareItemsOut() {
    try (WorkerTeam team = new WorkerTeam("test", 3)) {
      AtomicIntegerArray items = new AtomicIntegerArray(8);
      Shard[] seen = new Shard[3];
      for (int round = 1; round <= 2; round++) {
        Shard[] before = seen.clone();
        team.run(
            shard -> {
              seen[shard.index()] = shard;
              for (int i = shard.first(8); i < shard.end(8); i++) {
                items.incrementAndGet(i);
              }
            });
        for (int shard = 0; shard < 3; shard++) {
          assertEquals(new Shard(shard, 3), seen[shard]);
          if (round == 2) {
            assertSame(before[shard], seen[shard]);
          }
        }
      }
      assertEquals("[2, 2, 2, 2, 2, 2, 2, 2]", items.toString());
    }
  }

  @Test
  void writesOfAShardAreVisibleAfterTheBarrierAndAfterTheRun() {
    // Idle threads park at once, so that wake-ups are exercised too.
    for (long spinNanos : new long[] {0, 100_000}) {
      try (WorkerTeam team = new WorkerTeam("test", 4, spinNanos)) {
        int[] cells = new int[4];
        int[] sums = new int[4];
        for (int round = 0; round < 500; round++) {
          int value = round;
          team.run(
              (shard, shards) -> {
                cells[shard] = value + shard;
                team.barrier();
                int sum = 0;
                for (int cell : cells) {
                  sum += cell;
                }
                team.barrier();
                cells[shard] = -1;
                sums[shard] = sum;
              });
          for (int sum : sums) {
            assertEquals(4 * value + 6, sum);
          }
        }
      }
    }
  }

  @Test
  void anExceptionOfAnyShardReachesTheCallerAndTheTeamGoesOn() {
    try (WorkerTeam team = new WorkerTeam("test", 3)) {
      for (int failing = 0; failing < 3; failing++) {
        int bad = failing;
        var failure = new IllegalStateException("shard " + bad);
        assertSame(
            failure,
            assertThrows(
                IllegalStateException.class,
                () ->
                    team.run(
                        (shard, shards) -> {
                          if (shard == bad) {
                            throw failure;
                          }
                          team.barrier();
                        })));
        AtomicIntegerArray runs = new AtomicIntegerArray(3);
        team.run(
            (shard, shards) -> {
              team.barrier();
              runs.incrementAndGet(shard);
            });
        assertEquals("[1, 1, 1]", runs.toString());
      }
    }
  }

  @Test
  void aRunAllocatesNothing() {
    var threads = (com.sun.management.ThreadMXBean) ManagementFactory.getThreadMXBean();
    try (WorkerTeam team = new WorkerTeam("test", 2)) {
      ShardTask lent = (shard, shards) -> team.barrier();
      WorkerTeam.Task task = shard -> team.barrier();
      long allocated = Long.MAX_VALUE;
      for (int attempt = 0; attempt < 20 && allocated > 0; attempt++) {
        long before = threads.getCurrentThreadAllocatedBytes();
        for (int i = 0; i < 1_000; i++) {
          team.run(lent);
          team.run(task);
        }
        allocated = (threads.getCurrentThreadAllocatedBytes() - before) / 1_000;
      }
      assertEquals(0, allocated);
    }
  }

  @Test
  void closeEndsTheThreadsAndRefusesFurtherRuns() {
    Set<Thread> threads = ConcurrentHashMap.newKeySet();
    WorkerTeam team = new WorkerTeam("test", 2);
    team.run((shard, shards) -> threads.add(Thread.currentThread()));
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
