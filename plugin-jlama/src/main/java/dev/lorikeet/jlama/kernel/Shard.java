package dev.lorikeet.jlama.kernel;

import java.util.concurrent.atomic.AtomicLongArray;

/**
 * One part of a kernel's work, and the worker that does it. Kernels are called with it and allocate
 * none: every worker of a {@link WorkerTeam} has one, which is set to part after part.
 *
 * <p>A part of a phase that may be repeated ({@link WorkerTeam.Phases#repeatable}) can be taken
 * away from a worker that the operating system does not run, so it writes where others read only
 * between {@link #beginStore} and {@link #endStore}, and gives up when it may not. Nothing it reads
 * may be trusted then: what it was given may have changed meanwhile.
 */
public final class Shard {
  /** The only shard: all of the work. */
  public static final Shard WHOLE = new Shard(0, 1);

  // A claim on a part: the turn of its phase, the worker that has it, and how far it is.
  private static final int WORKER_SHIFT = 2;
  private static final int TURN_SHIFT = 10;
  private static final long CLAIMED = 1;
  private static final long STORING = 2;
  private static final long DONE = 3;

  /** The highest number of a worker. */
  static final int MAX_WORKER = (1 << TURN_SHIFT - WORKER_SHIFT) - 1;

  /** How far apart the claims of two parts are, in longs: a cache line. */
  static final int CLAIM_STRIDE = 8;

  private final int worker;
  private final AtomicLongArray claims;
  private int index;
  private int count;
  private long mine;

  /** Creates a shard that has a worker, and its scratch memory, to itself. */
  public Shard(int index, int count) {
    if (index < 0 || index >= count) {
      throw new IllegalArgumentException(
          "shard: expected 0 to " + (count - 1) + " of " + count + ", found " + index);
    }
    this.worker = index;
    this.claims = new AtomicLongArray(0);
    this.index = index;
    this.count = count;
  }

  /** Returns all of the work, for a worker that uses its own scratch memory for it. */
  public static Shard wholeOf(int worker) {
    Shard whole = new Shard(worker, new AtomicLongArray(0));
    whole.count = 1;
    return whole;
  }

  /** Creates the shard of a worker of a team. */
  Shard(int worker, AtomicLongArray claims) {
    this.worker = worker;
    this.claims = claims;
  }

  /** Returns the number of this shard, from 0. */
  public int index() {
    return index;
  }

  /** Returns how many shards there are, at least 1. */
  public int count() {
    return count;
  }

  /** Returns the worker, whose scratch memory the kernel uses. */
  public int worker() {
    return worker;
  }

  /**
   * Returns the first of {@code items} items that are this shard's: shards take them in order, and
   * their shares differ by at most one.
   */
  public int first(int items) {
    return (int) ((long) items * index / count);
  }

  /** Returns the end of this shard's items: the first of the next shard's. */
  public int end(int items) {
    return (int) ((long) items * (index + 1) / count);
  }

  /**
   * Asks to write results. They must follow at once, and then {@link #endStore}.
   *
   * @return whether the shard may write; if not, another worker does its work, and the kernel is to
   *     return
   */
  public boolean beginStore() {
    return claims.length() == 0 || claims.compareAndSet(at(index), mine | CLAIMED, mine | STORING);
  }

  /** Ends what {@link #beginStore} began. */
  public void endStore() {
    if (claims.length() > 0) {
      claims.setRelease(at(index), mine | CLAIMED);
    }
  }

  /** Takes a part that nobody has. */
  void claim(long turn, int part, int parts) {
    set(claim(turn, worker), part, parts);
    claims.set(at(part), mine | CLAIMED);
  }

  /** Takes a part away from a worker that computes it; false if there is none that may be taken. */
  boolean steal(long turn, int part, int parts) {
    long held = claims.get(at(part));
    if (held >> TURN_SHIFT != turn || (held & DONE) != CLAIMED) {
      return false;
    }
    long stolen = claim(turn, worker);
    if (!claims.compareAndSet(at(part), held, stolen | CLAIMED)) {
      return false;
    }
    set(stolen, part, parts);
    return true;
  }

  private void set(long claim, int part, int parts) {
    mine = claim;
    index = part;
    count = parts;
  }

  /** Returns whether nobody took the part away. */
  boolean has() {
    return claims.get(at(index)) == (mine | CLAIMED);
  }

  /** Ends the part; false if it was taken away. */
  boolean finish() {
    return claims.compareAndSet(at(index), mine | CLAIMED, mine | DONE)
        // a kernel that threw while it stored
        || claims.compareAndSet(at(index), mine | STORING, mine | DONE);
  }

  private static long claim(long turn, int worker) {
    return turn << TURN_SHIFT | (long) worker << WORKER_SHIFT;
  }

  private static int at(int part) {
    return part * CLAIM_STRIDE;
  }
}
