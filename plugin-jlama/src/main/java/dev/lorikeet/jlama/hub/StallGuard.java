package dev.lorikeet.jlama.hub;

import java.io.IOException;
import java.io.InputStream;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executor;
import java.util.concurrent.TimeUnit;

/**
 * Closes the body of an answer when nothing of it has come for a while, so that its reader gets an
 * {@link IOException} rather than waiting forever. The HTTP client itself bounds no single read.
 */
final class StallGuard implements AutoCloseable {
  private static final Executor VIRTUAL = task -> Thread.ofVirtual().start(task);

  private final InputStream body;
  private final long limitNanos;
  private volatile long lastNanos = System.nanoTime();
  private volatile boolean done;
  private volatile boolean stalled;

  StallGuard(InputStream body, Duration limit) {
    this.body = body;
    this.limitNanos = limit.toNanos();
    watch(limitNanos);
  }

  private void watch(long nanos) {
    CompletableFuture.delayedExecutor(nanos, TimeUnit.NANOSECONDS, VIRTUAL).execute(this::look);
  }

  private void look() {
    long left = lastNanos + limitNanos - System.nanoTime();
    if (done) {
      return;
    }
    if (left > 0) {
      watch(left);
      return;
    }
    stalled = true;
    try {
      body.close();
    } catch (IOException e) {
      // Its reader sees the same.
    }
  }

  /** Something has come. */
  void progress() {
    lastNanos = System.nanoTime();
  }

  /** Returns whether the body was closed because nothing came. */
  boolean stalled() {
    return stalled;
  }

  @Override
  public void close() {
    done = true;
  }
}
