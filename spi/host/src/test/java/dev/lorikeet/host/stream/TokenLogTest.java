package dev.lorikeet.host.stream;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.model.FinishReason;
import dev.lorikeet.model.GeneratedToken;
import dev.lorikeet.model.Usage;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Flow;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(value = 30, unit = TimeUnit.SECONDS)
class TokenLogTest {
  private final AtomicInteger cancels = new AtomicInteger();
  private final Relay relay = new Relay();
  private final TokenLog log =
      new TokenLog(
          relay, new TokenBuffer(1_000_000, false), TestWriter.of(cancels::incrementAndGet));

  @AfterEach
  void closeRelay() {
    relay.close();
  }

  private void append(int index) {
    log.append(100 + index, 0f, "t" + index, Optional.empty());
  }

  private static GeneratedToken token(int index) {
    return GeneratedToken.of(index, 100 + index, "t" + index, 0f);
  }

  private void finish(int tokens) {
    log.finish(
        FinishReason.LENGTH, Usage.builder().promptTokens(1).generatedTokens(tokens).build());
  }

  /** Asks for {@code batch} tokens at a time. */
  private static final class Collector implements Flow.Subscriber<GeneratedToken> {
    final CompletableFuture<List<GeneratedToken>> all = new CompletableFuture<>();
    final List<GeneratedToken> seen = new ArrayList<>();
    final long batch;
    Flow.@Nullable Subscription subscription;

    Collector(long batch) {
      this.batch = batch;
    }

    @Override
    public void onSubscribe(Flow.Subscription s) {
      subscription = s;
      s.request(batch);
    }

    @Override
    public void onNext(GeneratedToken item) {
      seen.add(item);
      if (batch != Long.MAX_VALUE && seen.size() % batch == 0) {
        Objects.requireNonNull(subscription).request(batch);
      }
    }

    @Override
    public void onError(Throwable failure) {
      all.completeExceptionally(failure);
    }

    @Override
    public void onComplete() {
      all.complete(seen);
    }
  }

  @Test
  void everySubscriberSeesAllTokensFromTheFirst() {
    Collector early = new Collector(1);
    log.subscribe(early);
    for (int i = 0; i < 50; i++) {
      append(i);
    }
    Collector middle = new Collector(7);
    log.subscribe(middle);
    for (int i = 50; i < 100; i++) {
      append(i);
    }
    finish(100);
    Collector late = new Collector(Long.MAX_VALUE);
    log.subscribe(late);
    for (Collector collector : List.of(early, middle, late)) {
      List<GeneratedToken> got = collector.all.join();
      assertEquals(100, got.size());
      for (int i = 0; i < 100; i++) {
        assertEquals(token(i), got.get(i));
      }
    }
  }

  /** A text that lets somebody wait for news while it is being appended. */
  private record Waiting(TokenLog log, Runnable wake) implements CharSequence {
    @Override
    public int length() {
      log.onNews(wake);
      return 0;
    }

    @Override
    public char charAt(int index) {
      throw new IndexOutOfBoundsException(index);
    }

    @Override
    public CharSequence subSequence(int start, int end) {
      return "";
    }
  }

  @Test
  void whoeverComesWhileATokenIsAppendedHearsOfIt() {
    CompletableFuture<Boolean> heard = new CompletableFuture<>();
    TokenBuffer.Cursor cursor = log.cursor();
    log.append(1, 0f, new Waiting(log, () -> heard.complete(cursor.hasNext())), Optional.empty());
    assertTrue(heard.join(), "woken before the token could be read");
  }

  @Test
  void withoutDemandNothingIsDelivered() throws InterruptedException {
    CountDownLatch subscribed = new CountDownLatch(1);
    List<GeneratedToken> seen = new ArrayList<>();
    CompletableFuture<Flow.Subscription> subscription = new CompletableFuture<>();
    CountDownLatch two = new CountDownLatch(2);
    log.subscribe(
        new Flow.Subscriber<>() {
          @Override
          public void onSubscribe(Flow.Subscription s) {
            subscription.complete(s);
            subscribed.countDown();
          }

          @Override
          public void onNext(GeneratedToken item) {
            seen.add(item);
            two.countDown();
          }

          @Override
          public void onError(Throwable failure) {}

          @Override
          public void onComplete() {}
        });
    subscribed.await();
    append(0);
    append(1);
    append(2);
    assertTrue(seen.isEmpty());
    subscription.join().request(2);
    two.await();
    assertEquals(List.of(token(0), token(1)), seen);
  }

  @Test
  void aRequestForNothingIsAnError() {
    CompletableFuture<Throwable> failure = new CompletableFuture<>();
    log.subscribe(
        new Flow.Subscriber<>() {
          @Override
          public void onSubscribe(Flow.Subscription s) {
            s.request(0);
          }

          @Override
          public void onNext(GeneratedToken item) {}

          @Override
          public void onError(Throwable e) {
            failure.complete(e);
          }

          @Override
          public void onComplete() {}
        });
    assertEquals(IllegalArgumentException.class, failure.join().getClass());
  }

  @Test
  void aSubscriberThatThrowsDisturbsNobody() {
    CompletableFuture<Void> threw = new CompletableFuture<>();
    log.subscribe(
        new Flow.Subscriber<>() {
          @Override
          public void onSubscribe(Flow.Subscription s) {
            s.request(Long.MAX_VALUE);
          }

          @Override
          public void onNext(GeneratedToken item) {
            threw.complete(null);
            throw new IllegalStateException("broken");
          }

          @Override
          public void onError(Throwable e) {}

          @Override
          public void onComplete() {}
        });
    Collector other = new Collector(2);
    log.subscribe(other);
    append(0);
    threw.join();
    append(1);
    finish(2);
    assertEquals(2, other.all.join().size());
  }

  @Test
  void aStreamBlocksForTokensAndEndsWithTheGeneration() {
    Thread writer =
        Thread.ofVirtual()
            .start(
                () -> {
                  for (int i = 0; i < 10; i++) {
                    append(i);
                  }
                  finish(10);
                });
    try (Stream<GeneratedToken> stream = log.stream()) {
      assertEquals(10, stream.toList().size());
    }
    assertEquals(0, cancels.get(), "closing after the end cancels nothing");
    assertTrue(writer.isVirtual());
  }

  @Test
  void closingAStreamEarlyCancels() {
    append(0);
    try (Stream<GeneratedToken> stream = log.stream()) {
      assertEquals(token(0), stream.findFirst().orElseThrow());
    }
    assertEquals(1, cancels.get());
  }

  @Test
  void failuresReachWaitersStreamsFuturesAndSubscribers() {
    LorikeetException failure = new LorikeetException(Code.ROUTER_FAILED, "reason");
    Collector collector = new Collector(1);
    log.subscribe(collector);
    log.fail(failure);
    finish(0);
    assertEquals(Code.ROUTER_FAILED, assertThrows(LorikeetException.class, log::await).code());
    assertEquals(
        Code.ROUTER_FAILED,
        assertThrows(LorikeetException.class, () -> log.stream().toList()).code());
    assertSame(failure, log.completion().handle((r, e) -> e).join());
    assertSame(failure, collector.all.handle((r, e) -> e).join());
  }

  @Test
  void cancellingTheFutureCancelsTheGeneration() {
    assertTrue(log.completion().cancel(false));
    assertEquals(1, cancels.get());
  }
}
