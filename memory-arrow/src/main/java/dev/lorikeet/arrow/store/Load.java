package dev.lorikeet.arrow.store;

import dev.lorikeet.LorikeetException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.Supplier;

/**
 * Work on files that runs once, on a thread of the store: threads of an application may be
 * interrupted, which would close the file under the load of everyone who waits for it. It may be
 * queued twice, as a hint and again when it is needed at once; whoever comes first does it.
 *
 * @param <T> the result
 */
final class Load<T> implements Runnable {
  private final Supplier<T> work;
  private final AtomicBoolean started = new AtomicBoolean();
  private final CompletableFuture<T> done = new CompletableFuture<>();

  Load(Supplier<T> work) {
    this.work = work;
  }

  @Override
  public void run() {
    if (started.compareAndSet(false, true)) {
      try {
        done.complete(work.get());
      } catch (Throwable e) {
        done.completeExceptionally(e);
      }
    }
  }

  /** Returns whether some thread has begun it. */
  boolean hasStarted() {
    return started.get();
  }

  /** Ends it without running, unless it has started. */
  void cancel(LorikeetException reason) {
    if (started.compareAndSet(false, true)) {
      done.completeExceptionally(reason);
    }
  }

  /** Waits for the result, also when interrupted; the interruption stays set. */
  T await() {
    try {
      return done.join();
    } catch (CompletionException e) {
      Throwable cause = e.getCause();
      if (cause instanceof LorikeetException known) {
        throw new LorikeetException(known.code(), String.valueOf(known.getMessage()), known);
      }
      throw new LorikeetException(
          LorikeetException.Code.INTERNAL, "adapter store: unexpected failure: " + cause, e);
    }
  }
}
