package dev.lorikeet.arrow.store;

import dev.lorikeet.LorikeetException;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.ThreadFactory;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;

/**
 * The daemon threads that read files: some for callers that wait, and a few for hints, which
 * callers never wait behind. They end when idle.
 */
final class LoadThreads implements AutoCloseable {
  private static final long IDLE_SECONDS = 5;

  /** Enough to keep any disk busy; more callers than that wait in line. */
  private static final int URGENT_THREADS = 16;

  private final ThreadPoolExecutor urgent;
  private final ThreadPoolExecutor hints;

  LoadThreads(int hintThreads) {
    ThreadFactory factory =
        Thread.ofPlatform().daemon().name("lorikeet-adapter-loader-", 0).factory();
    urgent = threads(URGENT_THREADS, factory);
    hints = threads(hintThreads, factory);
  }

  private static ThreadPoolExecutor threads(int most, ThreadFactory factory) {
    var threads =
        new ThreadPoolExecutor(
            most, most, IDLE_SECONDS, TimeUnit.SECONDS, new LinkedBlockingQueue<>(), factory);
    threads.allowCoreThreadTimeOut(true);
    return threads;
  }

  /** Starts as soon as can be. */
  void now(Load<?> load) {
    urgent.execute(load);
  }

  /** Starts when one of the few threads is free. */
  void soon(Load<?> load) {
    hints.execute(load);
  }

  /** Drops what has not started, and waits for the rest. */
  @Override
  public void close() {
    var reason = new LorikeetException(LorikeetException.Code.CLOSED, "adapter store: closed");
    List<Runnable> queued = new ArrayList<>();
    hints.getQueue().drainTo(queued);
    hints.shutdown();
    for (Runnable each : queued) {
      if (each instanceof Load<?> load) {
        load.cancel(reason);
      }
    }
    urgent.shutdown();
    awaitEnd(urgent);
    awaitEnd(hints);
  }

  private static void awaitEnd(ExecutorService threads) {
    boolean interrupted = false;
    boolean ended = false;
    while (!ended) {
      try {
        ended = threads.awaitTermination(Long.MAX_VALUE, TimeUnit.NANOSECONDS);
      } catch (InterruptedException e) {
        interrupted = true;
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }
}
