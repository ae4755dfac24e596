package dev.lorikeet.jlama.kernel;

import dev.lorikeet.executor.Workers;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import org.jspecify.annotations.Nullable;

/**
 * A fixed team of threads that runs one task at a time, split into shards. The caller of {@link
 * #run(Task)} is shard 0; the others are daemon platform threads, started at the first run. Nothing
 * is allocated and no lock is taken per run.
 *
 * <p>Threading: {@link #run(Task)} is not reentrant and must not be called from two threads at
 * once; it need not always be the same thread. {@link #barrier} may be called only from inside a
 * task, by every shard the same number of times. {@link #close()} must not overlap a run; it ends
 * the threads and is idempotent.
 */
public final class WorkerTeam implements Workers, AutoCloseable {
  /*
   * A decode step is hundreds of kernels of 10 to 100 microseconds. Waking a parked thread costs about 50 microseconds,
   * a spinning one about 0.2, so workers spin a while after each task before they park, and kernels that follow one
   * another are separated by barrier() inside one run.
   *
   * run():      task = t; epoch = e + 1 (volatile), unpark whoever announced that it parks; run shard 0; wait until
   *             every worker's DONE slot is e + 1.
   * a worker:   wait until epoch != the last one seen; run; DONE[shard] = epoch. To park it first announces it, then
   *             looks at the epoch again (Dekker's pattern).
   * barrier():  a central counter; the last to arrive resets it and advances the generation on which the others wait.
   *
   * All shared words lie in one long[], each alone on two cache lines (adjacent lines are prefetched in pairs), and are
   * reached through one VarHandle. Waiting spins, then yields, then naps, so that an oversubscribed machine still makes
   * progress.
   */
  private static final VarHandle WORD = MethodHandles.arrayElementVarHandle(long[].class);
  private static final int LINE = 16;
  private static final int EPOCH = LINE;
  private static final int ARRIVED = 2 * LINE;
  private static final int GENERATION = 3 * LINE;
  private static final int FAILED = 4 * LINE;
  private static final int FIRST_DONE = 5 * LINE;
  private static final int SPINS_BETWEEN_CLOCK_READS = 64;
  private static final int SPINS_BEFORE_YIELD = 4_000;
  private static final int YIELDS_BEFORE_NAP = 200;
  private static final long NAP_NANOS = 20_000;

  private final int parallelism;
  private final long spinNanos;
  private final String name;
  private final long[] words;
  private final @Nullable Throwable[] failures;
  private final List<Thread> threads = new ArrayList<>();
  private final Shard[] shards;
  private final Task lentTask = this::runLent;
  private @Nullable Task task;
  private @Nullable ShardTask lent;
  private volatile boolean closed;

  /** Work that is split over the team. */
  @FunctionalInterface
  public interface Task {
    /** Does one shard's part. */
    void run(Shard shard);
  }

  /**
   * Creates a team whose idle threads spin for 200 microseconds before they park.
   *
   * @param name prefix of the thread names
   * @param parallelism the number of shards, at least 1, the caller included
   */
  public WorkerTeam(String name, int parallelism) {
    this(name, parallelism, TimeUnit.MICROSECONDS.toNanos(200));
  }

  WorkerTeam(String name, int parallelism, long spinNanos) {
    if (parallelism < 1) {
      throw new IllegalArgumentException("parallelism: expected >= 1, found " + parallelism);
    }
    this.name = name;
    this.parallelism = parallelism;
    this.spinNanos = spinNanos;
    this.words = new long[FIRST_DONE + 2 * LINE * (parallelism + 1)];
    this.failures = new Throwable[parallelism];
    this.shards = new Shard[parallelism];
    for (int shard = 0; shard < parallelism; shard++) {
      shards[shard] = new Shard(shard, parallelism);
    }
  }

  @Override
  public int parallelism() {
    return parallelism;
  }

  /** Runs the task of an executor that the team is lent to. */
  @Override
  public void run(ShardTask task) {
    lent = task;
    run(lentTask);
  }

  private void runLent(Shard shard) {
    Objects.requireNonNull(lent).run(shard.index(), shard.count());
  }

  /**
   * Runs a task once per shard, concurrently, and waits for all. The first exception that a shard
   * throws is rethrown here after all shards have ended.
   */
  public void run(Task task) {
    if (closed) {
      throw new IllegalStateException("worker team " + name + " is closed");
    }
    if (parallelism == 1) {
      task.run(shards[0]);
      return;
    }
    if (threads.isEmpty()) {
      startThreads();
    }
    this.task = task;
    long epoch = words[EPOCH] + 1;
    WORD.setVolatile(words, EPOCH, epoch);
    for (int shard = 1; shard < parallelism; shard++) {
      if ((long) WORD.getVolatile(words, parked(shard)) != 0) {
        LockSupport.unpark(threads.get(shard - 1));
      }
    }
    runShard(task, 0);
    for (int shard = 1; shard < parallelism; shard++) {
      awaitAtLeast(done(shard), epoch);
    }
    if (words[FAILED] != 0) {
      rethrow();
    }
  }

  /**
   * Waits until every shard of the running task has called this method; what each wrote before is
   * then visible to all. When a shard has failed, the others leave the barrier with an exception,
   * so that {@link #run(Task)} can end.
   */
  public void barrier() {
    if (parallelism == 1) {
      return;
    }
    long generation = (long) WORD.getVolatile(words, GENERATION);
    if ((long) WORD.getAndAdd(words, ARRIVED, 1L) == parallelism - 1) {
      words[ARRIVED] = 0;
      WORD.setVolatile(words, GENERATION, generation + 1);
    } else {
      awaitAtLeast(GENERATION, generation + 1);
    }
  }

  /** Ends the threads and waits for them. */
  @Override
  public void close() {
    if (closed) {
      return;
    }
    closed = true;
    WORD.getAndAdd(words, EPOCH, 1L);
    threads.forEach(LockSupport::unpark);
    boolean interrupted = false;
    for (Thread thread : threads) {
      while (thread.isAlive()) {
        try {
          thread.join();
        } catch (InterruptedException e) {
          interrupted = true;
        }
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }

  private void startThreads() {
    for (int shard = 1; shard < parallelism; shard++) {
      int mine = shard;
      long seen = words[EPOCH];
      threads.add(
          Thread.ofPlatform().daemon().name(name + "-" + shard).unstarted(() -> work(mine, seen)));
    }
    threads.forEach(Thread::start);
  }

  private void work(int shard, long seen) {
    long last = seen;
    while (true) {
      last = awaitNextEpoch(shard, last);
      Task current = task;
      if (closed || current == null) {
        return;
      }
      runShard(current, shard);
      WORD.setVolatile(words, done(shard), last);
    }
  }

  private void runShard(Task current, int shard) {
    try {
      current.run(shards[shard]);
    } catch (Throwable t) {
      failures[shard] = t;
      WORD.setVolatile(words, FAILED, 1L);
    }
  }

  private long awaitNextEpoch(int shard, long last) {
    long deadline = System.nanoTime() + spinNanos;
    for (int spins = 1; ; spins++) {
      long epoch = (long) WORD.getVolatile(words, EPOCH);
      if (epoch != last) {
        return epoch;
      }
      Thread.onSpinWait();
      if (spins % SPINS_BETWEEN_CLOCK_READS == 0 && System.nanoTime() - deadline >= 0) {
        WORD.setVolatile(words, parked(shard), 1L);
        while ((epoch = (long) WORD.getVolatile(words, EPOCH)) == last) {
          LockSupport.park(this);
        }
        WORD.setVolatile(words, parked(shard), 0L);
        return epoch;
      }
    }
  }

  @SuppressWarnings(
      "ThreadPriorityCheck") // Yielding is a courtesy on a crowded machine; nothing relies on it.
  private void awaitAtLeast(int word, long value) {
    int spins = 0;
    while ((long) WORD.getVolatile(words, word) < value) {
      if (word == GENERATION && (long) WORD.getVolatile(words, FAILED) != 0) {
        throw new BrokenBarrier();
      }
      spins++;
      if (spins < SPINS_BEFORE_YIELD) {
        Thread.onSpinWait();
      } else if (spins < SPINS_BEFORE_YIELD + YIELDS_BEFORE_NAP) {
        Thread.yield();
      } else {
        LockSupport.parkNanos(this, NAP_NANOS);
      }
    }
  }

  @SuppressWarnings("ReferenceEquality") // Two shards may throw the same exception object.
  private void rethrow() {
    words[ARRIVED] = 0;
    words[FAILED] = 0;
    Throwable first = null;
    for (int shard = 0; shard < parallelism; shard++) {
      Throwable t = failures[shard];
      failures[shard] = null;
      if (t == null || t == first) {
        continue;
      }
      if (first == null) {
        first = t;
      } else if (first instanceof BrokenBarrier) {
        first = t;
      } else if (!(t instanceof BrokenBarrier)) {
        first.addSuppressed(t);
      }
    }
    switch (first) {
      case RuntimeException e -> throw e;
      case Error e -> throw e;
      case null, default ->
          throw new IllegalStateException("a shard of " + name + " failed", first);
    }
  }

  private static int done(int shard) {
    return FIRST_DONE + 2 * LINE * shard;
  }

  private static int parked(int shard) {
    return FIRST_DONE + 2 * LINE * shard + LINE;
  }

  /** Leaves a barrier that a failed shard will never reach. */
  private static final class BrokenBarrier extends RuntimeException {
    private static final long serialVersionUID = 1L;

    BrokenBarrier() {
      super("another shard failed before the barrier", null, false, false);
    }
  }
}
