package dev.lorikeet.host.stream;

import java.util.concurrent.atomic.AtomicReference;
import java.util.concurrent.locks.LockSupport;
import java.util.function.BooleanSupplier;
import org.jspecify.annotations.Nullable;

/**
 * Those who wait for the next news of a log. Any thread may add itself, and any may wake all.
 * Nobody misses news if the news is written before {@link #isEmpty} is asked, and looked for again
 * after {@link #add}, both with volatile accesses.
 */
final class Waiters {
  /* A stack that is only pushed to and taken whole (Treiber 1986), so nodes are never reused under anybody's hands. */
  private record Node(Runnable wake, @Nullable Node below) {}

  /** A thread that is parked. */
  private static final class Parked implements Runnable {
    private final Thread thread = Thread.currentThread();
    private volatile boolean woken;

    @Override
    public void run() {
      woken = true;
      LockSupport.unpark(thread);
    }
  }

  private static final System.Logger LOGGER = System.getLogger(Waiters.class.getName());

  private final AtomicReference<@Nullable Node> top = new AtomicReference<>();

  boolean isEmpty() {
    return top.get() == null;
  }

  /** Adds what is to be called once, at the next news. */
  void add(Runnable wake) {
    Node below;
    do {
      below = top.get();
    } while (!top.compareAndSet(below, new Node(wake, below)));
  }

  /** Calls and forgets all who wait, even if one of them cannot be woken. */
  void wakeAll() {
    for (Node node = top.getAndSet(null); node != null; node = node.below()) {
      try {
        node.wake().run();
      } catch (RuntimeException | Error e) { // no memory for a thread, say
        LOGGER.log(System.Logger.Level.ERROR, "a reader of a generation could not be woken", e);
      }
    }
  }

  /** Blocks the thread until a condition holds, which only news can make true. */
  void await(BooleanSupplier condition) throws InterruptedException {
    while (!condition.getAsBoolean()) {
      Parked parked = new Parked();
      add(parked);
      while (!parked.woken && !condition.getAsBoolean()) {
        if (Thread.interrupted()) {
          throw new InterruptedException();
        }
        LockSupport.park(this);
      }
    }
  }
}
