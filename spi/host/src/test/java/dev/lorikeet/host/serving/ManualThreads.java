package dev.lorikeet.host.serving;

import java.util.ArrayDeque;
import java.util.Deque;
import java.util.List;
import java.util.concurrent.AbstractExecutorService;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.TimeUnit;

/** Runs tasks when a test says so, on the test's thread; closing runs those that are left. */
final class ManualThreads extends AbstractExecutorService {
  private final Deque<Runnable> tasks = new ArrayDeque<>();
  private boolean down;

  /** Runs the oldest task, if there is one. */
  boolean runNext() {
    Runnable task = tasks.poll();
    if (task == null) {
      return false;
    }
    task.run();
    return true;
  }

  int size() {
    return tasks.size();
  }

  @Override
  public void execute(Runnable task) {
    if (down) {
      throw new RejectedExecutionException("shut down");
    }
    tasks.add(task);
  }

  @Override
  public void shutdown() {
    down = true;
    while (runNext()) {
      // Runs what is left.
    }
  }

  @Override
  public List<Runnable> shutdownNow() {
    shutdown();
    return List.of();
  }

  @Override
  public boolean isShutdown() {
    return down;
  }

  @Override
  public boolean isTerminated() {
    return down;
  }

  @Override
  public boolean awaitTermination(long timeout, TimeUnit unit) {
    return down;
  }
}
