package dev.lorikeet.cli.generate;

import dev.lorikeet.Lorikeet;
import dev.lorikeet.LorikeetException;
import dev.lorikeet.cli.view.Outcome;
import dev.lorikeet.cli.view.Sequence;
import dev.lorikeet.cli.view.View;
import dev.lorikeet.memory.PoolStats;
import dev.lorikeet.model.GeneratedToken;
import dev.lorikeet.model.Generation;
import dev.lorikeet.model.GenerationRequest;
import dev.lorikeet.model.ModelStats;
import dev.lorikeet.model.RequestObserver;
import dev.lorikeet.routing.Mixture;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.Flow;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Consumer;

/**
 * Sequences that were decoded together.
 *
 * @param sequences what was asked
 * @param outcomes how each sequence ended, in the same order
 * @param mixtures which adapters computed each token of each sequence, where requests asked for it
 * @param elapsed from the first submission until the last sequence ended
 * @param secondHalf tokens per second in the second half of the tokens, when the JVM has compiled
 *     what runs often
 * @param kvCachePeak the largest number of pages that held keys and values
 * @param pool the pool's pages at the end
 * @param stats the model's counts at the end
 */
record Batch(
    List<Sequence> sequences,
    List<Outcome> outcomes,
    List<List<Mixture>> mixtures,
    Duration elapsed,
    double secondHalf,
    int kvCachePeak,
    PoolStats pool,
    ModelStats stats) {

  /**
   * Submits all sequences, as many at once as the model's queue takes, and shows their tokens as
   * they come, on this thread.
   *
   * @throws LorikeetException if a request is refused, or with code {@code CANCELLED} if this
   *     thread is interrupted; then all requests are cancelled
   */
  static Batch run(
      Lorikeet lorikeet,
      List<Sequence> sequences,
      Consumer<GenerationRequest.Builder> settings,
      View view) {
    List<List<Mixture>> mixtures = new ArrayList<>();
    Following following = new Following(mixtures, view);
    AtomicInteger kvCachePeak = new AtomicInteger();
    List<Generation> generations = new ArrayList<>();
    long start = System.nanoTime();
    try {
      for (Sequence sequence : sequences) {
        GenerationRequest.Builder request =
            GenerationRequest.prompt(sequence.prompt()).adapter(sequence.voice().choice());
        settings.accept(request);
        RequestObserver observer =
            RequestObserver.tokens(
                token ->
                    kvCachePeak.accumulateAndGet(
                        lorikeet.pool().stats().kvCachePages(), Math::max));
        Generation generation = submit(lorikeet, request.build(), observer, following);
        generation.subscribe(new Forwarder(generations.size(), following.events));
        generations.add(generation);
        mixtures.add(new ArrayList<>());
      }
      following.untilAllHaveEnded();
      double secondHalf = following.secondHalf();
      List<Outcome> outcomes = generations.stream().map(Batch::outcome).toList();
      Duration elapsed = Duration.ofNanos(System.nanoTime() - start);
      view.end(outcomes);
      return new Batch(
          sequences,
          outcomes,
          mixtures,
          elapsed,
          secondHalf,
          kvCachePeak.get(),
          lorikeet.pool().stats(),
          lorikeet.model().stats());
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new LorikeetException(LorikeetException.Code.CANCELLED, "interrupted", e);
    } finally {
      generations.forEach(Generation::cancel); // no effect on those that have ended
    }
  }

  /** Submits a request; where the queue is full, waits for one of the others to end. */
  private static Generation submit(
      Lorikeet lorikeet, GenerationRequest request, RequestObserver observer, Following following)
      throws InterruptedException {
    while (true) {
      try {
        return lorikeet.submit(request, observer);
      } catch (LorikeetException e) {
        if (e.code() != LorikeetException.Code.QUEUE_FULL) {
          throw e;
        }
        following.untilOneMoreHasEnded();
      }
    }
  }

  /** Shows tokens as they come, and keeps what is told of them in the end. */
  private static final class Following {
    private static final long QUIET_MILLIS = 20;

    private final BlockingQueue<Event> events = new LinkedBlockingQueue<>();
    private final List<Long> arrivals = new ArrayList<>();
    private final List<List<Mixture>> mixtures;
    private final View view;
    private int ended;

    Following(List<List<Mixture>> mixtures, View view) {
      this.mixtures = mixtures;
      this.view = view;
    }

    /** Returns after the end of a sequence, or when nothing happens for a moment. */
    void untilOneMoreHasEnded() throws InterruptedException {
      int before = ended;
      while (ended == before) {
        Event event = events.poll(QUIET_MILLIS, TimeUnit.MILLISECONDS);
        if (event == null) {
          return; // a place may become free after its sequence has ended
        }
        show(event);
      }
    }

    void untilAllHaveEnded() throws InterruptedException {
      while (ended < mixtures.size()) {
        show(events.take());
      }
    }

    private void show(Event event) {
      switch (event) {
        case Event.Token(int sequence, GeneratedToken token) -> {
          arrivals.add(System.nanoTime());
          token.mixture().ifPresent(mixtures.get(sequence)::add);
          view.token(sequence, token);
        }
        case Event.End end -> ended++;
      }
      if (events.isEmpty()) {
        view.refresh();
      }
    }

    /** Returns the tokens per second of the second half of the tokens. */
    double secondHalf() {
      int half = arrivals.size() / 2;
      if (half == 0) {
        return 0;
      }
      double nanoseconds = arrivals.getLast() - arrivals.get(arrivals.size() - 1 - half);
      return 1e9 * half / Math.max(1, nanoseconds);
    }
  }

  private static Outcome outcome(Generation generation) {
    try {
      return new Outcome.Done(generation.await());
    } catch (LorikeetException e) {
      if (Thread.currentThread().isInterrupted()) {
        throw e;
      }
      return new Outcome.Failed(e);
    }
  }

  /** Returns how many tokens were generated. */
  int generatedTokens() {
    return outcomes.stream()
        .mapToInt(o -> o instanceof Outcome.Done done ? done.result().tokens().size() : 0)
        .sum();
  }

  /** Returns generated tokens per second, all sequences together, prefill included. */
  double tokensPerSecond() {
    return generatedTokens() / Math.max(1e-9, seconds());
  }

  double seconds() {
    return elapsed.toNanos() / 1e9;
  }

  private sealed interface Event {
    record Token(int sequence, GeneratedToken token) implements Event {}

    record End() implements Event {}
  }

  /** Passes the tokens of one generation on to the queue that all share. */
  private record Forwarder(int sequence, BlockingQueue<Event> events)
      implements Flow.Subscriber<GeneratedToken> {
    @Override
    public void onSubscribe(Flow.Subscription subscription) {
      subscription.request(Long.MAX_VALUE);
    }

    @Override
    public void onNext(GeneratedToken token) {
      events.add(new Event.Token(sequence, token));
    }

    @Override
    public void onError(Throwable failure) {
      events.add(new Event.End());
    }

    @Override
    public void onComplete() {
      events.add(new Event.End());
    }
  }
}
