package dev.lorikeet.host.step;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import java.util.function.LongSupplier;

/**
 * Who uses a base model's hardware: the steps of serving, and the pieces of other work over the
 * same weights, such as fine-tuning. One at a time. Any number of threads may use it.
 */
public final class Turns implements AutoCloseable {
  /*
   * Idea. A piece is short (a layer of a micro-batch, say). While requests run, a piece of t nanoseconds is followed by
   * t * (1 - share) / share for serving alone; then the next piece is due, and goes before the next step, so that
   * neither starves. While no request runs, pieces follow one another. A step waits for one piece at most.
   *
   * Cost: a lock and a wake-up for each step and each piece.
   */
  private final LongSupplier clock;
  private double share = 0.25;

  private boolean serving;
  private boolean step;
  private boolean piece;
  private int waiting;
  private long due;
  private boolean closed;

  /** What a step waits for, made once since steps are many. */
  private final Condition stepWaits = this::stepWaits;

  /** Creates turns of which serving has three in four. */
  public Turns() {
    this(System::nanoTime);
  }

  /** Takes nanoseconds from a clock of any origin. */
  Turns(LongSupplier clock) {
    this.clock = clock;
    this.due = clock.getAsLong();
  }

  /**
   * Sets which share of the time other work has while requests run.
   *
   * @param value above 0 and below 1
   */
  public synchronized void share(double value) {
    if (!(value > 0 && value < 1)) {
      throw new IllegalArgumentException(
          "share: expected more than 0 and less than 1, found " + value);
    }
    share = value;
  }

  /** Begins a step, once no piece is running or due; {@link #endStep} has to follow. */
  public synchronized void beginStep() {
    serving = true;
    await(stepWaits);
    step = true;
  }

  private synchronized boolean stepWaits() {
    return piece || (waiting > 0 && due - clock.getAsLong() <= 0);
  }

  /** Ends a step. */
  public synchronized void endStep() {
    step = false;
    notifyAll();
  }

  /** Is told that there is nothing to serve until the next step. */
  public synchronized void rest() {
    if (serving) {
      serving = false;
      notifyAll();
    }
  }

  /**
   * Runs a piece of other work when its turn has come. Not to be called by a piece.
   *
   * @throws LorikeetException with code {@code CLOSED} if the model was closed
   */
  public void run(Runnable work) {
    long began = beginPiece();
    try {
      work.run();
    } finally {
      endPiece(began);
    }
  }

  private synchronized long beginPiece() {
    waiting++;
    try {
      // What is due while a step waits goes first: the step looks again when the piece has begun.
      await(() -> !closed && (step || piece || (serving && due - clock.getAsLong() > 0)));
    } finally {
      waiting--;
    }
    if (closed) {
      notifyAll();
      throw new LorikeetException(Code.CLOSED, "the model was closed");
    }
    piece = true;
    return clock.getAsLong();
  }

  private synchronized void endPiece(long began) {
    piece = false;
    long now = clock.getAsLong();
    due = now + (long) ((now - began) * (1 - share) / share);
    notifyAll();
  }

  private interface Condition {
    boolean holds();
  }

  /** Waits while a condition holds; an interruption stays set. */
  private void await(Condition condition) {
    boolean interrupted = false;
    while (condition.holds()) {
      try {
        long nanos = due - clock.getAsLong();
        // Not zero, which would be without end; a moment too long does no harm.
        wait(nanos > 0 ? nanos / 1_000_000 + 1 : 1_000);
      } catch (InterruptedException e) {
        interrupted = true;
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }

  /** Waits for the piece that runs, and refuses others from now on. Idempotent. */
  @Override
  public synchronized void close() {
    closed = true;
    notifyAll();
    await(() -> piece);
  }
}
