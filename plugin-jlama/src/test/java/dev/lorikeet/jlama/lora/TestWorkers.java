package dev.lorikeet.jlama.lora;

import dev.lorikeet.executor.Workers;
import java.util.ArrayList;
import java.util.List;

/** Workers for tests. */
final class TestWorkers {
  private TestWorkers() {}

  /** Shards that run one after another in the calling thread, last one first. */
  static Workers sequential(int shards) {
    return new Workers() {
      @Override
      public int parallelism() {
        return shards;
      }

      @Override
      public void run(ShardTask task) {
        for (int shard = shards - 1; shard >= 0; shard--) {
          task.run(shard, shards);
        }
      }
    };
  }

  /** Shards that run in new threads. */
  static Workers concurrent(int shards) {
    return new Workers() {
      @Override
      public int parallelism() {
        return shards;
      }

      @Override
      public void run(ShardTask task) {
        List<Thread> threads = new ArrayList<>();
        for (int shard = 1; shard < shards; shard++) {
          int mine = shard;
          threads.add(Thread.ofPlatform().start(() -> task.run(mine, shards)));
        }
        task.run(0, shards);
        for (Thread thread : threads) {
          try {
            thread.join();
          } catch (InterruptedException e) {
            throw new IllegalStateException(e);
          }
        }
      }
    };
  }
}
