package dev.lorikeet.jlama.serving;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.model.GeneratedToken;
import dev.lorikeet.model.Generation;
import dev.lorikeet.model.GenerationResult;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Spliterator;
import java.util.Spliterators;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executor;
import java.util.concurrent.Flow;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Consumer;
import java.util.stream.Stream;
import java.util.stream.StreamSupport;

/**
 * The tokens of one generation as they come, and its end. Written by the decoding thread, read by
 * any number of subscribers, streams and waiters, each from the first token at its own pace.
 */
final class TokenLog implements Generation {
  /*
   * An append-only list under a lock. The writer appends, signals and never waits for a reader: subscribers are served by their own drains on virtual threads,
   * streams and waiters block on the condition.
   */

  /** How a generation ended. */
  private sealed interface End {
    record Finished(GenerationResult result) implements End {}

    record Failed(LorikeetException failure) implements End {}
  }

  private static final Executor DRAINS =
      task -> Thread.ofVirtual().name("lorikeet-drain").start(task);

  private final ReentrantLock lock = new ReentrantLock();
  private final Condition changed = lock.newCondition();
  private final List<GeneratedToken> tokens = new ArrayList<>();
  private final List<LogSubscription> subscriptions = new ArrayList<>();
  private final Runnable onCancel;
  private Optional<End> end = Optional.empty();
  private final CompletableFuture<GenerationResult> completion =
      new CompletableFuture<>() {
        @Override
        public boolean cancel(boolean mayInterruptIfRunning) {
          TokenLog.this.cancel();
          return super.cancel(mayInterruptIfRunning);
        }
      };

  /**
   * Creates an empty log.
   *
   * @param onCancel tells the scheduler that somebody asked for an early end; called from any
   *     thread, perhaps more than once
   */
  TokenLog(Runnable onCancel) {
    this.onCancel = onCancel;
  }

  void append(GeneratedToken token) {
    change(() -> tokens.add(token));
  }

  void finish(GenerationResult result) {
    if (change(() -> end = Optional.of(new End.Finished(result)))) {
      completion.complete(result);
    }
  }

  void fail(LorikeetException failure) {
    if (change(() -> end = Optional.of(new End.Failed(failure)))) {
      completion.completeExceptionally(failure);
    }
  }

  private boolean change(Runnable step) {
    List<LogSubscription> wake;
    lock.lock();
    try {
      if (end.isPresent()) {
        return false;
      }
      step.run();
      changed.signalAll();
      wake = subscriptions.isEmpty() ? List.of() : List.copyOf(subscriptions);
    } finally {
      lock.unlock();
    }
    wake.forEach(LogSubscription::schedule);
    return true;
  }

  boolean ended() {
    lock.lock();
    try {
      return end.isPresent();
    } finally {
      lock.unlock();
    }
  }

  @Override
  public void cancel() {
    if (!ended()) {
      onCancel.run();
    }
  }

  @Override
  public GenerationResult await() {
    lock.lock();
    try {
      while (end.isEmpty()) {
        changed.await();
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      onCancel.run();
      throw new LorikeetException(
          Code.CANCELLED, "interrupted while waiting for the generation", e);
    } finally {
      lock.unlock();
    }
    return switch (end.get()) {
      case End.Finished(GenerationResult result) -> result;
      // A fresh exception with the waiter's own stack; the original is its cause.
      case End.Failed(LorikeetException failure) ->
          throw new LorikeetException(
              failure.code(), String.valueOf(failure.getMessage()), failure);
    };
  }

  @Override
  public CompletableFuture<GenerationResult> completion() {
    return completion;
  }

  @Override
  public Stream<GeneratedToken> stream() {
    var source =
        new Spliterators.AbstractSpliterator<GeneratedToken>(
            Long.MAX_VALUE, Spliterator.ORDERED | Spliterator.NONNULL | Spliterator.IMMUTABLE) {
          private int next;

          @Override
          public boolean tryAdvance(Consumer<? super GeneratedToken> action) {
            Optional<GeneratedToken> token = awaitToken(next);
            token.ifPresent(action);
            next++;
            return token.isPresent();
          }
        };
    return StreamSupport.stream(source, false).onClose(this::cancel);
  }

  private Optional<GeneratedToken> awaitToken(int index) {
    lock.lock();
    try {
      while (tokens.size() <= index && end.isEmpty()) {
        changed.await();
      }
      if (index < tokens.size()) {
        return Optional.of(tokens.get(index));
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      onCancel.run();
      throw new LorikeetException(Code.CANCELLED, "interrupted while waiting for a token", e);
    } finally {
      lock.unlock();
    }
    await();
    return Optional.empty();
  }

  @Override
  public void subscribe(Flow.Subscriber<? super GeneratedToken> subscriber) {
    LogSubscription subscription = new LogSubscription(subscriber);
    lock.lock();
    try {
      subscriptions.add(subscription);
    } finally {
      lock.unlock();
    }
    subscription.schedule();
  }

  /**
   * One subscriber's place in the log: a serial drain that runs while there is demand and something
   * to deliver.
   */
  private final class LogSubscription implements Flow.Subscription {
    private final Flow.Subscriber<? super GeneratedToken> subscriber;
    private final ReentrantLock state = new ReentrantLock();
    private boolean draining;
    private boolean again;
    private long demand;
    private Optional<IllegalArgumentException> misuse = Optional.empty();
    private volatile boolean closed;
    // Only touched by the drain.
    private boolean started;
    private int next;

    LogSubscription(Flow.Subscriber<? super GeneratedToken> subscriber) {
      this.subscriber = java.util.Objects.requireNonNull(subscriber, "subscriber");
    }

    @Override
    public void request(long n) {
      state.lock();
      try {
        if (n <= 0) {
          misuse =
              Optional.of(
                  new IllegalArgumentException("request: expected more than 0, found " + n));
        } else {
          demand = demand + n < 0 ? Long.MAX_VALUE : demand + n;
        }
      } finally {
        state.unlock();
      }
      schedule();
    }

    @Override
    public void cancel() {
      closed = true;
      lock.lock();
      try {
        subscriptions.remove(this);
      } finally {
        lock.unlock();
      }
    }

    void schedule() {
      state.lock();
      try {
        again = true;
        if (draining) {
          return;
        }
        draining = true;
      } finally {
        state.unlock();
      }
      DRAINS.execute(this::drain);
    }

    private void drain() {
      while (true) {
        state.lock();
        try {
          if (!again || closed) {
            draining = false;
            return;
          }
          again = false;
        } finally {
          state.unlock();
        }
        try {
          if (!started) {
            started = true;
            subscriber.onSubscribe(this);
          }
          deliver();
        } catch (RuntimeException | Error e) {
          // A subscriber that throws has broken the rules of Flow; it gets no more, and nobody else
          // notices.
          cancel();
        }
      }
    }

    private void deliver() {
      while (!closed) {
        Optional<IllegalArgumentException> wrong;
        boolean wanted;
        state.lock();
        try {
          wrong = misuse;
          wanted = demand > 0;
        } finally {
          state.unlock();
        }
        if (wrong.isPresent()) {
          cancel();
          subscriber.onError(wrong.get());
          return;
        }
        Optional<GeneratedToken> token;
        Optional<End> last;
        lock.lock();
        try {
          token = next < tokens.size() ? Optional.of(tokens.get(next)) : Optional.empty();
          last = end;
        } finally {
          lock.unlock();
        }
        if (token.isPresent()) {
          if (!wanted) {
            return;
          }
          next++;
          state.lock();
          try {
            demand = demand == Long.MAX_VALUE ? demand : demand - 1;
          } finally {
            state.unlock();
          }
          subscriber.onNext(token.get());
        } else if (last.isPresent()) {
          cancel();
          switch (last.get()) {
            case End.Finished finished -> subscriber.onComplete();
            case End.Failed failed -> subscriber.onError(failed.failure());
          }
          return;
        } else {
          return;
        }
      }
    }
  }
}
