package dev.lorikeet.executor;

/**
 * The threads that a host lends to an executor, so that both share the same cores. A call to {@link
 * #run} hands out shards to whichever threads are free and returns when all have finished; what the
 * shards wrote is visible to the caller. A shard must not wait for another: one thread may do
 * several, or all, one after the other.
 */
public interface Workers {
  /** Workers without threads: one shard, run by the caller. */
  Workers SINGLE =
      new Workers() {
        @Override
        public int parallelism() {
          return 1;
        }

        @Override
        public void run(ShardTask task) {
          task.run(0, 1);
        }
      };

  /** Returns the number of shards of every {@link #run}, at least 1. */
  int parallelism();

  /**
   * Runs {@code task} once per shard, on as many threads as are free, and waits for all. Not
   * reentrant, and not to be called from two threads at once. The first exception that a shard
   * throws is rethrown here after all shards have ended.
   */
  void run(ShardTask task);

  /** Work that is split over the workers. */
  @FunctionalInterface
  interface ShardTask {
    /**
     * Does one shard's part.
     *
     * @param shard the number of this shard, from 0
     * @param shards how many shards there are
     */
    void run(int shard, int shards);
  }
}
