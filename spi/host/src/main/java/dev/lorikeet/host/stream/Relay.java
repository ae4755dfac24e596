package dev.lorikeet.host.stream;

import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicReference;
import java.util.concurrent.locks.LockSupport;
import org.jspecify.annotations.Nullable;

/**
 * Wakes readers in place of the decoding thread. A signal costs its sender a compare-and-set, and
 * an unpark where the relay rests: no lock, no allocation, and one system call for a step of any
 * number of sequences rather than one for each reader.
 */
public final class Relay implements AutoCloseable {
  /*
   * Idea: lines that were signalled are a stack, linked through the lines themselves, which the relay's thread takes
   * whole. A line is in the stack at most once: its flag is raised before it is pushed and lowered after it was taken
   * and before its readers are woken, so news that finds the flag up is written before those readers look.
   */
  private static final System.Logger LOGGER = System.getLogger(Relay.class.getName());

  private final AtomicReference<@Nullable Line> signalled = new AtomicReference<>();
  private final Thread thread;
  private volatile boolean resting;
  private volatile boolean closed;

  /** Starts the relay's thread. */
  public Relay() {
    thread = Thread.ofPlatform().name("lorikeet-relay").daemon().start(this::relay);
  }

  /** One writer's way to its readers. */
  final class Line {
    private final Runnable wake;
    private final AtomicBoolean queued = new AtomicBoolean();
    private @Nullable Line below;

    private Line(Runnable wake) {
      this.wake = wake;
    }

    /** Has the readers woken, soon and on another thread; from any thread. */
    void signal() {
      if (queued.get() || !queued.compareAndSet(false, true)) {
        return;
      }
      Line top;
      do {
        top = signalled.get();
        below = top;
      } while (!signalled.compareAndSet(top, this));
      if (closed) {
        wakeSignalled();
      } else if (resting) {
        resting = false;
        LockSupport.unpark(thread);
      }
    }
  }

  /**
   * Returns a new line.
   *
   * @param wake wakes its readers; must not block
   */
  Line line(Runnable wake) {
    return new Line(wake);
  }

  private void relay() {
    while (!closed) {
      wakeSignalled();
      resting = true;
      if (signalled.get() == null && !closed) {
        LockSupport.park(this);
        Thread.interrupted(); // else the thread would never rest again
      }
      resting = false;
    }
  }

  private void wakeSignalled() {
    Line line = signalled.getAndSet(null);
    while (line != null) {
      Line below = line.below;
      line.below = null;
      line.queued.set(false);
      try {
        line.wake.run();
      } catch (RuntimeException | Error e) {
        LOGGER.log(System.Logger.Level.ERROR, "the readers of a generation could not be woken", e);
      }
      line = below;
    }
  }

  /** Ends the thread once all signals so far are delivered; later ones are by their senders. */
  @Override
  public void close() {
    closed = true;
    LockSupport.unpark(thread);
    boolean interrupted = false;
    while (thread.isAlive()) {
      try {
        thread.join();
      } catch (InterruptedException e) {
        interrupted = true;
      }
    }
    wakeSignalled();
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }
}
