package dev.lorikeet.jlama.kernel;

import dev.lorikeet.executor.Workers;
import java.lang.System.Logger.Level;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLongArray;
import java.util.concurrent.locks.LockSupport;
import org.jspecify.annotations.Nullable;

/**
 * A team of threads that runs phases of work one after another, each split into parts. The caller
 * of {@link #run(Phases, int, int)} is worker 0; the others are daemon platform threads, started at
 * the first run. Nothing is allocated and no lock is taken per run.
 *
 * <p>Threading: runs are not reentrant and must not be called from two threads at once; it need not
 * always be the same thread. {@link #close()} must not overlap a run; it ends the threads and is
 * idempotent.
 */
public final class WorkerTeam implements Workers, AutoCloseable {
  /*
   * Idea. A decode step is hundreds of phases of 10 to 100 microseconds, each of which needs all of the one before. If
   * every thread has a fixed share of a phase, one that the operating system does not run for 3 milliseconds, because
   * something else wants the processor, holds up all others as long: beside one busy process per core, a quarter of the
   * throughput is left. So
   *  - whoever is free takes the next part of the phase;
   *  - whoever finishes a phase's last part opens the next phase, be it the caller or not: as long as any thread runs,
   *    the run goes on;
   *  - a part whose worker is away for several times as long as a part takes is computed again by one that would only
   *    wait (Phases.repeatable): results are the same bits, and the one that was away may store nothing when it comes
   *    back (Shard.beginStore).
   * Waking a parked thread costs about 50 microseconds, a spinning one about 0.2, so workers spin a while before they
   * park, about as long as parking costs.
   *
   * Layout. One long, the desk, says it all: [turn 36 | phase 12 | parts 8 | next part 8]. Every phase of every run has
   * a turn of its own. A part is taken by a compare-and-set of the desk, and then noted with its turn and worker in
   * the array of claims; parts that are done are counted in DONE. The desk of a team without work has no parts. A
   * worker that has taken a part reads what is run and then looks whether it still has the part, so it can't mix one
   * run's part with the next one's work. All shared words lie on cache lines of their own, two by two.
   *
   * Cost. Two compare-and-sets and a fetch-and-add a part, and one write a phase. Measured against fixed shares with
   * barriers, 135 M in BF16, two threads on two processors, engines in turns: quiet 0.99 (8 sequences) and 1.07 (1) of
   * the throughput, beside one busy process 2.3 and 4.9 times as much, beside two 1.4 and 1.25 times.
   */
  private static final VarHandle WORD = MethodHandles.arrayElementVarHandle(long[].class);
  private static final int LINE = 16;
  private static final int DESK = LINE;
  private static final int DONE = 2 * LINE;
  private static final int FAILED = 3 * LINE;
  private static final int PARKED = 4 * LINE;
  private static final int FIRST_WORKER = 5 * LINE;

  private static final int PART_BITS = 8;
  private static final int PHASE_BITS = 12;
  private static final long PART_MASK = (1L << PART_BITS) - 1;
  private static final int PARTS_SHIFT = PART_BITS;
  private static final int PHASE_SHIFT = 2 * PART_BITS;
  private static final int TURN_SHIFT = PHASE_SHIFT + PHASE_BITS;
  private static final long TURN_MASK = (1L << 64 - TURN_SHIFT) - 1;

  /** The most phases of a run. */
  static final int MAX_PHASES = 1 << PHASE_BITS;

  /** The most parts of a phase. */
  public static final int MAX_PARTS = (int) PART_MASK;

  private static final System.Logger LOG = System.getLogger(WorkerTeam.class.getName());

  private static final int SPINS_BETWEEN_CLOCK_READS = 32;

  // How long a part may take before it is taken over: several times as long as others, since two
  // may share a slow
  // memory, and a part that is computed twice makes it slower.
  private static final long LEAST_PATIENCE_NANOS = 50_000;
  private static final int PATIENCE = 4;

  private final int parallelism;
  private final long spinNanos;
  private final String name;
  private final long[] words;
  private final AtomicLongArray claims;
  private final Shard[] shards;
  private final List<Thread> threads = new ArrayList<>();
  private final Phases lentPhases = new Lent();
  private volatile @Nullable Thread caller;
  private volatile @Nullable Phases phases;
  private volatile int endPhase;
  private volatile @Nullable Throwable failure;
  private @Nullable ShardTask lent;
  private volatile boolean closed;

  /** Work in phases, numbered from 0: a phase begins when the one before has ended. */
  public interface Phases {
    /**
     * Returns into how many parts a phase is split, 0 to {@link #MAX_PARTS}; none to pass it by.
     */
    int parts(int phase);

    /**
     * Returns whether a part may be computed by two workers at once, of whom one is late: if it
     * reads nothing that it writes, and stores as {@link Shard} says.
     */
    boolean repeatable(int phase);

    /**
     * Does one part of a phase. Parts must not wait for one another: one worker may do all of them.
     */
    void run(int phase, Shard shard);
  }

  /**
   * Returns how many threads to use: no more than processors, of which a container's quota and the
   * process's affinity leave as many as the JVM says. More would only take turns.
   *
   * @param owner whose option {@code threads} asks for them, for a warning
   * @param asked how many
   */
  public static int withinProcessors(String owner, int asked) {
    int processors = Runtime.getRuntime().availableProcessors();
    if (asked > processors) {
      LOG.log(
          Level.WARNING,
          "{0}: option ''threads'': expected at most {1}, the processors of this process, found {2}; {1} are used",
          owner,
          processors,
          asked);
    }
    return Math.min(asked, processors);
  }

  /**
   * Creates a team whose idle threads spin for 100 microseconds before they park.
   *
   * @param name prefix of the thread names
   * @param parallelism the number of workers, at least 1, the caller included
   */
  public WorkerTeam(String name, int parallelism) {
    this(name, parallelism, TimeUnit.MICROSECONDS.toNanos(100));
  }

  WorkerTeam(String name, int parallelism, long spinNanos) {
    if (parallelism < 1 || parallelism > Shard.MAX_WORKER) {
      throw new IllegalArgumentException(
          "parallelism: expected 1 to " + Shard.MAX_WORKER + ", found " + parallelism);
    }
    this.name = name;
    this.parallelism = parallelism;
    this.spinNanos = spinNanos;
    this.words = new long[FIRST_WORKER + 2 * LINE * (parallelism + 1)];
    this.claims = new AtomicLongArray(Shard.CLAIM_STRIDE * (MAX_PARTS + 1));
    this.shards = new Shard[parallelism];
    for (int worker = 0; worker < parallelism; worker++) {
      shards[worker] = new Shard(worker, claims);
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
    run(lentPhases, 0, 1);
  }

  private final class Lent implements Phases {
    @Override
    public int parts(int phase) {
      return parallelism;
    }

    @Override
    public boolean repeatable(int phase) {
      return false;
    }

    @Override
    public void run(int phase, Shard shard) {
      Objects.requireNonNull(lent).run(shard.index(), shard.count());
    }
  }

  /**
   * Runs phases {@code [first, end)} and waits for them. The first exception that a part throws is
   * rethrown here, after all parts of its phase; the phases behind it are not run then.
   */
  public void run(Phases work, int first, int end) {
    if (closed) {
      throw new IllegalStateException("worker team " + name + " is closed");
    }
    if (first < 0 || end > MAX_PHASES) {
      throw new IllegalArgumentException(
          "phases: expected 0 to " + MAX_PHASES + ", found " + first + " to " + end);
    }
    if (parallelism == 1) {
      runAlone(work, first, end);
      return;
    }
    if (threads.isEmpty()) {
      startThreads();
    }
    phases = work;
    endPhase = end;
    caller = Thread.currentThread();
    long desk = open(work, first, end, turn((long) WORD.getVolatile(words, DESK)));
    while (parts(desk) > 0) {
      desk = takePart(0, desk);
    }
    Throwable thrown = failure;
    if (thrown != null) {
      failure = null;
      WORD.setVolatile(words, FAILED, 0L);
      rethrow(thrown);
    }
  }

  private void runAlone(Phases work, int first, int end) {
    Shard shard = shards[0];
    for (int phase = first; phase < end; phase++) {
      int parts = work.parts(phase);
      for (int part = 0; part < parts; part++) {
        shard.claim(0, part, parts);
        work.run(phase, shard);
      }
    }
  }

  /**
   * Opens the first phase that has parts of those from {@code phase}, or leaves the desk empty, and
   * returns the desk.
   */
  private long open(Phases work, int phase, int end, long lastTurn) {
    int next = phase;
    int parts = 0;
    while (next < end && (parts = work.parts(next)) == 0) {
      next++;
    }
    if (parts < 0 || parts > MAX_PARTS) {
      throw new IllegalArgumentException(
          "phase " + next + ": expected 0 to " + MAX_PARTS + " parts, found " + parts);
    }
    boolean over = next >= end;
    long turn = lastTurn + 1 & TURN_MASK;
    long desk =
        turn << TURN_SHIFT | (over ? 0 : (long) next << PHASE_SHIFT | (long) parts << PARTS_SHIFT);
    WORD.setVolatile(words, DONE, 0L);
    WORD.setVolatile(words, DESK, desk);
    if ((over || parts > 1) && (long) WORD.getVolatile(words, PARKED) > 0) {
      wake(over);
    }
    return desk;
  }

  private void wake(boolean over) {
    for (int worker = 0; worker < (over ? 1 : parallelism); worker++) {
      if ((long) WORD.getVolatile(words, parked(worker)) != 0) {
        LockSupport.unpark(worker == 0 ? caller : threads.get(worker - 1));
      }
    }
  }

  /** Does a part, or waits for one, and returns the desk as it is then. */
  private long takePart(int worker, long desk) {
    if (next(desk) >= parts(desk)) {
      return awaitTurn(worker, desk, LEAST_PATIENCE_NANOS);
    }
    long start = System.nanoTime();
    int done = 0;
    long now = desk;
    while (turn(now) == turn(desk) && next(now) < parts(now)) {
      if (WORD.compareAndSet(words, DESK, now, now + 1)) {
        shards[worker].claim(turn(now), next(now), parts(now));
        compute(worker, now);
        done++;
      }
      now = (long) WORD.getVolatile(words, DESK);
    }
    if (turn(now) != turn(desk) || done == 0) {
      return now;
    }
    long each = (System.nanoTime() - start) / done;
    return awaitTurn(worker, now, Math.max(LEAST_PATIENCE_NANOS, PATIENCE * each));
  }

  /** Computes the part that a worker's shard is set to. */
  private void compute(int worker, long desk) {
    Shard shard = shards[worker];
    Phases work = phases;
    int end = endPhase;
    if (work == null || !shard.has()) {
      return; // taken away already: what is run may be another run's
    }
    Throwable thrown = null;
    try {
      work.run(phase(desk), shard);
    } catch (Throwable t) {
      thrown = t;
    }
    if (!shard.finish()) {
      return; // what was thrown may come of what changed meanwhile
    }
    if (thrown != null) {
      fail(thrown);
    }
    if ((long) WORD.getAndAdd(words, DONE, 1L) == parts(desk) - 1) {
      boolean failed = (long) WORD.getVolatile(words, FAILED) != 0;
      openNext(work, failed ? end : phase(desk) + 1, end, turn(desk));
    }
  }

  private void openNext(Phases work, int phase, int end, long turn) {
    try {
      open(work, phase, end, turn);
    } catch (Throwable t) {
      fail(t);
      open(work, end, end, turn);
    }
  }

  private synchronized void fail(Throwable thrown) {
    Throwable first = failure;
    if (first == null) {
      failure = thrown;
    } else if (!first.equals(thrown)) {
      first.addSuppressed(thrown);
    }
    WORD.setVolatile(words, FAILED, 1L);
  }

  /**
   * Waits until the desk's phase is over, or a part of it can be taken over, and returns the desk.
   */
  private long awaitTurn(int worker, long desk, long patience) {
    Phases work = phases;
    boolean repeatable = work != null && work.repeatable(phase(desk));
    long start = System.nanoTime();
    for (int spins = 1; ; spins++) {
      long now = (long) WORD.getVolatile(words, DESK);
      if (turn(now) != turn(desk)) {
        return now;
      }
      Thread.onSpinWait();
      if (spins % SPINS_BETWEEN_CLOCK_READS != 0) {
        continue;
      }
      long waited = System.nanoTime() - start;
      if (repeatable && waited >= patience) {
        if (takeOver(worker, desk)) {
          return (long) WORD.getVolatile(words, DESK);
        }
        repeatable = false; // what is left is being stored: not for long, if its worker runs
      }
      if (waited >= patience + spinNanos) {
        return park(worker, desk);
      }
    }
  }

  private boolean takeOver(int worker, long desk) {
    int parts = parts(desk);
    for (int i = 0; i < parts; i++) {
      int part = (worker + i) % parts;
      if (shards[worker].steal(turn(desk), part, parts)) {
        compute(worker, desk);
        return true;
      }
    }
    return false;
  }

  /** Parks until the desk is another turn's, and returns it. */
  private long park(int worker, long desk) {
    WORD.setVolatile(words, busy(worker), 0L);
    WORD.setVolatile(words, parked(worker), 1L);
    WORD.getAndAdd(words, PARKED, 1L);
    long now;
    while (turn(now = (long) WORD.getVolatile(words, DESK)) == turn(desk) && !closed) {
      LockSupport.park(this);
    }
    WORD.getAndAdd(words, PARKED, -1L);
    WORD.setVolatile(words, parked(worker), 0L);
    return now;
  }

  private void work(int worker, long seen) {
    long desk = seen;
    while (!closed) {
      if (parts(desk) > 0) {
        WORD.setVolatile(words, busy(worker), 1L);
        desk = takePart(worker, desk);
        WORD.setVolatile(words, busy(worker), 0L);
      } else {
        desk = awaitRun(worker, desk);
      }
    }
  }

  private long awaitRun(int worker, long desk) {
    long start = System.nanoTime();
    for (int spins = 1; ; spins++) {
      long now = (long) WORD.getVolatile(words, DESK);
      if (turn(now) != turn(desk) || closed) {
        return now;
      }
      Thread.onSpinWait();
      if (spins % SPINS_BETWEEN_CLOCK_READS == 0 && System.nanoTime() - start >= spinNanos) {
        return park(worker, desk);
      }
    }
  }

  /**
   * Waits until no worker computes a part that was taken away from it: from then on none reads
   * memory that a run was given. To be called between runs, before such memory is freed.
   */
  public void quiesce() {
    for (int worker = 1; worker < parallelism; worker++) {
      while ((long) WORD.getVolatile(words, busy(worker)) != 0) {
        LockSupport.parkNanos(this, spinNanos + 1);
      }
    }
  }

  /** Ends the threads and waits for them. */
  @Override
  public void close() {
    if (closed) {
      return;
    }
    closed = true;
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
    long seen = (long) WORD.getVolatile(words, DESK);
    for (int worker = 1; worker < parallelism; worker++) {
      int mine = worker;
      threads.add(
          Thread.ofPlatform().daemon().name(name + "-" + worker).unstarted(() -> work(mine, seen)));
    }
    threads.forEach(Thread::start);
  }

  private void rethrow(Throwable thrown) {
    switch (thrown) {
      case RuntimeException e -> throw e;
      case Error e -> throw e;
      default -> throw new IllegalStateException("a part of " + name + "'s work failed", thrown);
    }
  }

  private static long turn(long desk) {
    return desk >>> TURN_SHIFT;
  }

  private static int phase(long desk) {
    return (int) (desk >>> PHASE_SHIFT) & MAX_PHASES - 1;
  }

  private static int parts(long desk) {
    return (int) (desk >>> PARTS_SHIFT & PART_MASK);
  }

  private static int next(long desk) {
    return (int) (desk & PART_MASK);
  }

  private static int parked(int worker) {
    return FIRST_WORKER + 2 * LINE * worker;
  }

  private static int busy(int worker) {
    return FIRST_WORKER + 2 * LINE * worker + LINE;
  }
}
