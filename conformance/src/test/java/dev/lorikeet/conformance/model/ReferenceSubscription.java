package dev.lorikeet.conformance.model;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.model.GeneratedToken;
import java.util.Optional;
import java.util.concurrent.Flow;

/** Serves one subscriber on a thread of its own. */
final class ReferenceSubscription implements Flow.Subscription, Runnable {
  private final ReferenceLog log;
  private final Flow.Subscriber<? super GeneratedToken> subscriber;
  private long wanted;
  private boolean cancelled;
  private boolean wrong;

  ReferenceSubscription(ReferenceLog log, Flow.Subscriber<? super GeneratedToken> subscriber) {
    this.log = log;
    this.subscriber = subscriber;
  }

  @Override
  public synchronized void request(long count) {
    wrong |= count <= 0;
    wanted = count > Long.MAX_VALUE - wanted ? Long.MAX_VALUE : wanted + count;
    notifyAll();
  }

  @Override
  public synchronized void cancel() {
    cancelled = true;
    notifyAll();
  }

  @Override
  public void run() {
    subscriber.onSubscribe(this);
    for (int index = 0; ; index++) {
      Optional<GeneratedToken> token = log.next(index);
      if (token.isEmpty()) {
        end();
        return;
      }
      if (!mayDeliver()) {
        return;
      }
      subscriber.onNext(token.get());
    }
  }

  private synchronized boolean mayDeliver() {
    while (wanted == 0 && !cancelled && !wrong) {
      try {
        wait();
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
        return false;
      }
    }
    if (wrong) {
      subscriber.onError(new IllegalArgumentException("request: expected more than zero"));
      return false;
    }
    wanted -= wanted == Long.MAX_VALUE ? 0 : 1;
    return !cancelled;
  }

  private void end() {
    synchronized (this) {
      if (cancelled) {
        return;
      }
    }
    try {
      log.await();
      subscriber.onComplete();
    } catch (LorikeetException e) {
      subscriber.onError(e);
    }
  }
}
