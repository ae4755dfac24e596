package dev.lorikeet.conformance.executor;

import dev.lorikeet.executor.Workers;
import java.util.Set;
import java.util.concurrent.BrokenBarrierException;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import org.jspecify.annotations.Nullable;

/** A team of threads to lend: the caller is shard 0, each other shard has a thread of its own. */
final class ThreadWorkers implements Workers, AutoCloseable {
  private final int parallelism;
  private final CyclicBarrier begin;
  private final CyclicBarrier end;
  private final Set<Thread> threads = ConcurrentHashMap.newKeySet();
  private final AtomicInteger runs = new AtomicInteger();
  private final AtomicReference<@Nullable Throwable> failure = new AtomicReference<>();
  private volatile ShardTask task = (shard, shards) -> {};
  private volatile boolean closed;

  ThreadWorkers(int parallelism) {
    this.parallelism = parallelism;
    begin = new CyclicBarrier(parallelism);
    end = new CyclicBarrier(parallelism);
    for (int shard = 1; shard < parallelism; shard++) {
      int number = shard;
      threads.add(Thread.ofPlatform().daemon().name("workers-" + shard).start(() -> serve(number)));
    }
  }

  private void serve(int shard) {
    while (true) {
      await(begin);
      if (closed) {
        return;
      }
      work(shard);
      await(end);
    }
  }

  private void work(int shard) {
    try {
      task.run(shard, parallelism);
    } catch (RuntimeException | Error e) {
      failure.compareAndSet(null, e);
    }
  }

  private static void await(CyclicBarrier barrier) {
    try {
      barrier.await();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IllegalStateException("interrupted", e);
    } catch (BrokenBarrierException e) {
      throw new IllegalStateException("broken", e);
    }
  }

  @Override
  public int parallelism() {
    return parallelism;
  }

  @Override
  public void run(ShardTask work) {
    runs.incrementAndGet();
    failure.set(null);
    task = work;
    await(begin);
    work(0);
    await(end);
    switch (failure.get()) {
      case null -> {}
      case RuntimeException e -> throw e;
      case Error e -> throw e;
      case Throwable e -> throw new IllegalStateException(e);
    }
  }

  /** Returns how often work was handed over. */
  int runs() {
    return runs.get();
  }

  /** Returns the threads of the team, without the caller's. */
  Set<Thread> threads() {
    return Set.copyOf(threads);
  }

  @Override
  public void close() {
    if (!closed) {
      closed = true;
      await(begin);
    }
  }
}
