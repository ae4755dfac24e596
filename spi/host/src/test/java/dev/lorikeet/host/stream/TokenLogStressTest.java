package dev.lorikeet.host.stream;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.model.FinishReason;
import dev.lorikeet.model.GeneratedToken;
import dev.lorikeet.model.GenerationResult;
import dev.lorikeet.model.Usage;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Flow;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/**
 * Many readers of all kinds come and go while a log is written, is cancelled, fails or ends: each
 * sees every token once and exactly one end, and nobody waits for ever.
 */
@Timeout(value = 120, unit = TimeUnit.SECONDS)
class TokenLogStressTest {
  private static final int ROUNDS = 1500;
  private static final Usage USAGE = Usage.builder().promptTokens(1).generatedTokens(1).build();

  /** What a reader saw: the tokens, and how it ended: the code of a failure, or none. */
  private record Seen(List<GeneratedToken> tokens, Optional<Code> failure) {}

  private static GeneratedToken token(int index) {
    return GeneratedToken.of(index, 3 * index, "x".repeat(index % 5), index / 2f);
  }

  private static List<GeneratedToken> tokens(int count) {
    List<GeneratedToken> tokens = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      tokens.add(token(i));
    }
    return tokens;
  }

  private static String text(int count) {
    StringBuilder text = new StringBuilder();
    tokens(count).forEach(t -> text.append(t.text()));
    return text.toString();
  }

  @Test
  void everyReaderSeesEveryTokenOnceAndOneEnd() {
    long seed = System.nanoTime();
    Random random = new Random(seed);
    Relay relay = new Relay();
    for (int round = 0; round < ROUNDS; round++) {
      Round next = new Round(relay, random.nextLong(), "seed " + seed + " round " + round);
      next.run();
      relay = next.closesRelay ? new Relay() : relay;
    }
    relay.close();
  }

  @Test
  void aTokenThatComesRightBeforeTheEndIsSeen() throws InterruptedException {
    try (Relay relay = new Relay()) {
      for (int round = 0; round < 2 * ROUNDS; round++) {
        TokenLog log = new TokenLog(relay, new TokenBuffer(1, false), TestWriter.of(() -> {}));
        Reader reader = new Reader(1);
        log.subscribe(reader);
        // Demand that is renewed all the time makes the drain look all the time.
        Thread asking =
            Thread.ofPlatform()
                .daemon()
                .start(
                    () -> {
                      Flow.Subscription subscription = reader.subscription.join();
                      while (!reader.seen.isDone()) {
                        subscription.request(1);
                      }
                    });
        reader.subscription.join();
        for (int i = round % 100; i > 0; i--) {
          Thread.onSpinWait();
        }
        log.append(0, 0f, "", Optional.empty());
        log.finish(FinishReason.LENGTH, USAGE);
        assertEquals(tokens(1), reader.seen.join().tokens(), "round " + round);
        asking.join();
      }
    }
  }

  /** One log, its writer and its readers. */
  private static final class Round {
    private final Relay relay;
    private final Random random;
    private final String what;
    private final int length;
    private final boolean fails;
    private final boolean closesRelay;
    private final AtomicBoolean cancelled = new AtomicBoolean();
    private final TokenLog log;
    private final List<CompletableFuture<Seen>> readers = new ArrayList<>();
    private final List<CompletableFuture<GenerationResult>> waiters = new ArrayList<>();
    private final List<Thread> interrupted = new ArrayList<>();
    private final List<CompletableFuture<Code>> interruptions = new ArrayList<>();
    private final AtomicInteger completions = new AtomicInteger();
    private int asked;

    Round(Relay relay, long seed, String what) {
      this.relay = relay;
      this.random = new Random(seed);
      this.what = what;
      this.length = random.nextInt(60);
      this.fails = random.nextInt(4) == 0;
      this.closesRelay = random.nextInt(10) == 0;
      this.log =
          new TokenLog(relay, new TokenBuffer(60, false), TestWriter.of(() -> cancelled.set(true)));
    }

    void run() {
      boolean cancels = random.nextInt(4) == 0;
      boolean interrupts = random.nextInt(8) == 0;
      for (int i = random.nextInt(3); i >= 0; i--) {
        addReader();
      }
      CompletableFuture<Integer> written = new CompletableFuture<>();
      long pauses = random.nextLong();
      Thread.ofPlatform().daemon().start(() -> written.complete(write(new Random(pauses))));
      for (int i = random.nextInt(6); i >= 0; i--) {
        addReader();
        pause(random);
      }
      if (interrupts) {
        addInterrupted();
        pause(random);
        interrupted.forEach(Thread::interrupt);
      }
      if (cancels) {
        log.cancel();
      }
      if (closesRelay) {
        relay.close();
      }
      int count = written.join();
      addReader();
      boolean failed = fails || count < length;
      Optional<Code> failure =
          !failed
              ? Optional.empty()
              : Optional.of(count < length || !fails ? Code.CANCELLED : Code.INTERNAL);
      for (CompletableFuture<Seen> reader : readers) {
        Seen seen = reader.join();
        assertEquals(tokens(count), seen.tokens(), what);
        assertEquals(failure, seen.failure(), what);
      }
      for (CompletableFuture<GenerationResult> waiter : waiters) {
        Optional<Code> code =
            waiter
                .handle((r, e) -> e == null ? Optional.<Code>empty() : Optional.of(code(e)))
                .join();
        assertEquals(failure, code, what);
        if (failure.isEmpty()) {
          assertEquals(text(count), waiter.join().text(), what);
          assertEquals(count, waiter.join().tokens().size(), what);
        }
      }
      for (CompletableFuture<Code> interruption : interruptions) {
        Code code = interruption.join();
        assertTrue(code == Code.CANCELLED || failure.equals(Optional.of(code)) || !failed, what);
      }
      assertEquals(asked, completions.get(), what);
    }

    /** Returns how many tokens were written. */
    private int write(Random pauses) {
      int i = 0;
      while (i < length && !cancelled.get()) {
        GeneratedToken token = token(i++);
        log.append(token.id(), token.logProbability(), token.text(), Optional.empty());
        pause(pauses);
      }
      if (i < length) {
        log.fail(new LorikeetException(Code.CANCELLED, "cancelled"));
      } else if (fails) {
        log.fail(new LorikeetException(Code.INTERNAL, "failed"));
      } else {
        log.finish(FinishReason.LENGTH, USAGE);
      }
      // What comes after the end is ignored.
      log.append(0, 0f, "late", Optional.empty());
      log.fail(new LorikeetException(Code.CLOSED, "late"));
      return i;
    }

    private static void pause(Random random) {
      for (int i = random.nextBoolean() ? random.nextInt(5000) : 0; i > 0; i--) {
        Thread.onSpinWait();
      }
    }

    private void addReader() {
      boolean virtual = random.nextBoolean();
      switch (random.nextInt(4)) {
        case 0 -> {
          CompletableFuture<Seen> seen = new CompletableFuture<>();
          readers.add(seen);
          start(virtual, () -> seen.complete(stream()));
        }
        case 1 -> {
          Reader reader = new Reader(1 + random.nextInt(5));
          readers.add(reader.seen);
          log.subscribe(reader);
        }
        case 2 -> {
          CompletableFuture<GenerationResult> result = new CompletableFuture<>();
          waiters.add(result);
          start(
              virtual,
              () -> {
                try {
                  result.complete(log.await());
                } catch (LorikeetException e) {
                  result.completeExceptionally(e);
                }
              });
        }
        default -> {
          asked++;
          waiters.add(log.completion().whenComplete((r, e) -> completions.incrementAndGet()));
        }
      }
    }

    private void addInterrupted() {
      CompletableFuture<Code> end = new CompletableFuture<>();
      interruptions.add(end);
      interrupted.add(
          start(
              random.nextBoolean(),
              () -> {
                try {
                  log.await();
                  end.complete(Code.CANCELLED);
                } catch (LorikeetException e) {
                  end.complete(e.code());
                }
              }));
    }

    private Seen stream() {
      List<GeneratedToken> got = new ArrayList<>();
      try (Stream<GeneratedToken> stream = log.stream()) {
        stream.forEach(got::add);
      } catch (LorikeetException e) {
        return new Seen(got, Optional.of(e.code()));
      }
      return new Seen(got, Optional.empty());
    }

    private static Thread start(boolean virtual, Runnable task) {
      return virtual ? Thread.ofVirtual().start(task) : Thread.ofPlatform().daemon().start(task);
    }

    private static Code code(Throwable failure) {
      Throwable cause = failure.getCause() instanceof LorikeetException e ? e : failure;
      return cause instanceof LorikeetException e ? e.code() : Code.INVALID_REQUEST;
    }
  }

  /** Asks for some tokens at a time; checks that its end comes once, and nothing after it. */
  private static final class Reader implements Flow.Subscriber<GeneratedToken> {
    private final CompletableFuture<Seen> seen = new CompletableFuture<>();
    private final List<GeneratedToken> got = new ArrayList<>();
    private final int batch;
    private final CompletableFuture<Flow.Subscription> subscription = new CompletableFuture<>();
    private boolean ended;

    Reader(int batch) {
      this.batch = batch;
    }

    @Override
    public void onSubscribe(Flow.Subscription s) {
      subscription.complete(s);
      s.request(batch);
    }

    @Override
    public void onNext(GeneratedToken token) {
      assertTrue(!ended);
      got.add(token);
      if (got.size() % batch == 0) {
        subscription.join().request(batch);
      }
    }

    @Override
    public void onError(Throwable failure) {
      end(Optional.of(Round.code(failure)));
    }

    @Override
    public void onComplete() {
      end(Optional.empty());
    }

    private void end(Optional<Code> failure) {
      assertTrue(seen.complete(new Seen(List.copyOf(got), failure)), "a second end");
      ended = true;
    }
  }
}
