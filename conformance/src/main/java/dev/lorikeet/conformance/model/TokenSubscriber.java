package dev.lorikeet.conformance.model;

import dev.lorikeet.model.GeneratedToken;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.Flow;

/** A subscriber that asks for what it is told to, and remembers what came. */
final class TokenSubscriber implements Flow.Subscriber<GeneratedToken> {
  private final long first;
  private final List<GeneratedToken> tokens = new ArrayList<>();
  private Optional<Flow.Subscription> subscription = Optional.empty();
  private Optional<Throwable> failure = Optional.empty();
  private boolean complete;

  /**
   * Creates a subscriber.
   *
   * @param first how many tokens to ask for when subscribed; none if 0
   */
  TokenSubscriber(long first) {
    this.first = first;
  }

  @Override
  public void onSubscribe(Flow.Subscription given) {
    synchronized (this) {
      subscription = Optional.of(given);
      notifyAll();
    }
    if (first != 0) {
      given.request(first);
    }
  }

  @Override
  public synchronized void onNext(GeneratedToken token) {
    tokens.add(token);
    notifyAll();
  }

  @Override
  public synchronized void onError(Throwable thrown) {
    failure = Optional.of(thrown);
    notifyAll();
  }

  @Override
  public synchronized void onComplete() {
    complete = true;
    notifyAll();
  }

  private synchronized Flow.Subscription subscription() {
    return subscription.orElseThrow(() -> new AssertionError("expected onSubscribe, did not come"));
  }

  void request(long count) {
    subscription().request(count);
  }

  void cancel() {
    subscription().cancel();
  }

  synchronized int count() {
    return tokens.size();
  }

  synchronized boolean hasEnded() {
    return complete || failure.isPresent();
  }

  /** Waits until a number of tokens has come, or the end; returns whether it ended. */
  synchronized boolean ended(int count, Duration patience) {
    await("a token or the end", patience, () -> hasEnded() || tokens.size() >= count);
    return hasEnded();
  }

  synchronized void awaitCount(int count, Duration patience) {
    await(count + " tokens", patience, () -> tokens.size() >= count);
  }

  /** Waits for the end and returns all tokens. */
  synchronized List<GeneratedToken> awaitEnd(Duration patience) {
    await("onComplete", patience, this::hasEnded);
    if (failure.isPresent()) {
      throw new AssertionError("expected onComplete, found onError", failure.get());
    }
    return List.copyOf(tokens);
  }

  synchronized Throwable awaitFailure(Duration patience) {
    await("onError", patience, () -> failure.isPresent());
    return failure.orElseThrow();
  }

  private void await(String what, Duration patience, java.util.function.BooleanSupplier reached) {
    long deadline = System.nanoTime() + patience.toNanos();
    while (!reached.getAsBoolean()) {
      long left = deadline - System.nanoTime();
      if (left <= 0) {
        throw new AssertionError("expected " + what + ", did not come");
      }
      try {
        wait(Math.max(1, left / 1_000_000));
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
        throw new AssertionError("interrupted", e);
      }
    }
  }
}
