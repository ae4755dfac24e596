package dev.lorikeet.host.stream;

import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/**
 * The result of a request to come. Cancelling it cancels the request; what computes the request
 * can't wait for it.
 */
public final class ResultFuture<T> extends CompletableFuture<T> {
  private final Writer writer;

  /** Creates a future that somebody else completes. */
  public ResultFuture(Writer writer) {
    this.writer = writer;
  }

  @Override
  public boolean cancel(boolean mayInterruptIfRunning) {
    writer.cancel();
    return super.cancel(mayInterruptIfRunning);
  }

  @Override
  public T join() {
    refuseToWait();
    return super.join();
  }

  @Override
  public T get() throws InterruptedException, ExecutionException {
    refuseToWait();
    return super.get();
  }

  @Override
  public T get(long timeout, TimeUnit unit)
      throws InterruptedException, ExecutionException, TimeoutException {
    refuseToWait();
    return super.get(timeout, unit);
  }

  /** What follows from it is an ordinary future. */
  @Override
  public <U> CompletableFuture<U> newIncompleteFuture() {
    return new CompletableFuture<>();
  }

  private void refuseToWait() {
    if (!isDone()) {
      writer.refuseToWaitFor("a result");
    }
  }
}
