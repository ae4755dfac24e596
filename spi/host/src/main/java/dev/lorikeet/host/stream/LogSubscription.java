package dev.lorikeet.host.stream;

import dev.lorikeet.model.GeneratedToken;
import java.util.Objects;
import java.util.concurrent.Executor;
import java.util.concurrent.Flow;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;

/** One subscriber's place in a log, under the rules of {@link Flow}. */
final class LogSubscription implements Flow.Subscription {
  /*
   * A serial drain on a virtual thread, which runs while there is demand and something to deliver. Calls that find it
   * running leave a mark, and it goes round once more.
   */
  private static final Executor DRAINS =
      task -> Thread.ofVirtual().name("lorikeet-drain").start(task);

  private final TokenLog log;
  private final Flow.Subscriber<? super GeneratedToken> subscriber;
  private final TokenBuffer.Cursor cursor;
  private final AtomicInteger marks = new AtomicInteger();
  private final AtomicLong demand = new AtomicLong();
  private volatile long misuse = 1;
  private volatile boolean waiting;
  private volatile boolean closed;
  // Only touched by the drain.
  private boolean started;

  LogSubscription(TokenLog log, Flow.Subscriber<? super GeneratedToken> subscriber) {
    this.log = log;
    this.subscriber = Objects.requireNonNull(subscriber, "subscriber");
    this.cursor = log.cursor();
  }

  @Override
  public void request(long n) {
    if (n <= 0) {
      misuse = n;
    } else {
      demand.accumulateAndGet(n, (had, more) -> had + more < 0 ? Long.MAX_VALUE : had + more);
    }
    schedule();
  }

  @Override
  public void cancel() {
    closed = true;
  }

  /** Delivers what there is; from any thread. */
  void schedule() {
    if (marks.getAndIncrement() == 0) {
      DRAINS.execute(this::drain);
    }
  }

  private void drain() {
    int seen = marks.get();
    do {
      try {
        if (!started && !closed) {
          started = true;
          subscriber.onSubscribe(this);
        }
        deliver();
      } catch (Throwable e) {
        // A subscriber that throws has broken the rules of Flow; it gets no more, and nobody else
        // notices.
        cancel();
      }
      seen = marks.addAndGet(-seen);
    } while (seen > 0);
  }

  private void deliver() {
    while (!closed) {
      if (misuse <= 0) {
        cancel();
        subscriber.onError(
            new IllegalArgumentException("request: expected more than 0, found " + misuse));
        return;
      }
      // In this order: tokens that came before the end are seen with it.
      boolean ended = log.ended();
      if (cursor.hasNext()) {
        if (demand.get() == 0) {
          return;
        }
        demand.updateAndGet(d -> d == Long.MAX_VALUE ? d : d - 1);
        subscriber.onNext(cursor.next());
      } else if (ended) {
        cancel();
        log.failure().ifPresentOrElse(subscriber::onError, subscriber::onComplete);
        return;
      } else if (waiting) {
        return;
      } else {
        // Look again after this: the news may have come between.
        waiting = true;
        log.onNews(this::news);
      }
    }
  }

  private void news() {
    waiting = false;
    schedule();
  }
}
