package dev.lorikeet.conformance.trial;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/** Runs work on threads of its own and waits for all of it, never for ever. */
public final class Crew {
  private Crew() {}

  /** One thread's part. */
  @FunctionalInterface
  public interface Part {
    void run(int thread) throws Exception;
  }

  /**
   * Runs a part on each of several threads that begin together; throws what the first one threw.
   */
  public static void run(int threads, Duration patience, Part part) {
    CountDownLatch start = new CountDownLatch(1);
    List<Future<?>> futures = new ArrayList<>();
    for (int i = 0; i < threads; i++) {
      int thread = i;
      futures.add(
          begin(
              () -> {
                start.await();
                part.run(thread);
                return thread;
              }));
    }
    start.countDown();
    for (Future<?> future : futures) {
      await(future, patience, "a thread of the test");
    }
  }

  /** Begins a task on a thread of its own. */
  public static <T> Future<T> begin(Callable<T> task) {
    FutureTask<T> future = new FutureTask<>(task);
    Thread.ofPlatform().daemon().name("conformance").start(future);
    return future;
  }

  /** Waits for something that must come. */
  public static <T> T await(Future<T> future, Duration patience, String what) {
    try {
      return future.get(patience.toMillis(), TimeUnit.MILLISECONDS);
    } catch (TimeoutException e) {
      throw new AssertionError(
          what + ": expected to end within " + patience.toSeconds() + " s, hangs", e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new AssertionError(what + ": interrupted", e);
    } catch (ExecutionException e) {
      switch (e.getCause()) {
        case RuntimeException failure -> throw failure;
        case Error failure -> throw failure;
        case null, default -> throw new AssertionError(what + " failed", e.getCause());
      }
    }
  }
}
