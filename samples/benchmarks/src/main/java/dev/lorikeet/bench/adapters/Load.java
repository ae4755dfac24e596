package dev.lorikeet.bench.adapters;

import dev.lorikeet.Lorikeet;
import dev.lorikeet.LorikeetException;
import dev.lorikeet.bench.model.Vocabulary;
import dev.lorikeet.model.Generation;
import dev.lorikeet.model.GenerationRequest;
import dev.lorikeet.model.RequestObserver;
import dev.lorikeet.model.StopConditions;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Semaphore;
import java.util.concurrent.locks.LockSupport;
import java.util.function.BooleanSupplier;
import java.util.function.IntSupplier;
import org.apache.commons.math3.distribution.ExponentialDistribution;
import org.apache.commons.math3.random.Well19937c;

/**
 * Sends requests to a model with many adapters.
 *
 * @param lorikeet the model; its adapters have their numbers as names
 * @param vocabulary makes the prompts
 * @param promptTokens length of a prompt
 * @param tokens how many tokens a request generates
 */
record Load(Lorikeet lorikeet, Vocabulary vocabulary, int promptTokens, int tokens) {

  /**
   * What came of it.
   *
   * @param requests requests served
   * @param refused requests turned away because the queue was full
   * @param seconds from the first request to the end of the last
   * @param tokensPerSecond generated tokens over that time
   * @param timeToFirstTokenMs from the moment at which a request was due
   * @param timePerTokenMs between the tokens of a request
   */
  record Result(
      int requests,
      int refused,
      double seconds,
      double tokensPerSecond,
      Latencies.Percentiles timeToFirstTokenMs,
      Latencies.Percentiles timePerTokenMs) {}

  private static final int MOST_KEPT = 4096;

  /** Keeps so many requests under way until a number of them was served. */
  Result saturated(IntSupplier adapters, int requests, int underWay, long seed) {
    Latencies latencies = new Latencies();
    Semaphore free = new Semaphore(underWay);
    List<Generation> generations = new ArrayList<>();
    long start = System.nanoTime();
    for (int i = 0; i < requests; i++) {
      free.acquireUninterruptibly();
      Generation generation = submit(adapters, latencies, System.nanoTime(), seed + i);
      var _ = generation.completion().whenComplete((result, failure) -> free.release());
      generations.add(generation);
    }
    return finish(generations, latencies, start, 0);
  }

  /**
   * Sends requests at random moments, whether or not earlier ones were served: an open loop. A
   * request's time counts from when it was due, so that a late sender hides nothing.
   *
   * @param rate requests per second
   * @param more asked before each request, whether there is one more
   */
  Result poisson(IntSupplier adapters, double rate, BooleanSupplier more, long firstSeed) {
    Latencies latencies = new Latencies();
    List<Generation> generations = new ArrayList<>();
    var gaps = new ExponentialDistribution(new Well19937c(firstSeed), 1e9 / rate);
    long start = System.nanoTime();
    double due = start;
    long seed = firstSeed;
    int refused = 0;
    while (more.getAsBoolean()) {
      due += gaps.sample();
      for (long wait = (long) due - System.nanoTime();
          wait > 0;
          wait = (long) due - System.nanoTime()) {
        LockSupport.parkNanos(wait);
      }
      try {
        generations.add(submit(adapters, latencies, (long) due, seed++));
      } catch (LorikeetException e) {
        if (e.code() != LorikeetException.Code.QUEUE_FULL) {
          throw e;
        }
        refused++;
      }
      if (generations.size() > MOST_KEPT) {
        generations.removeIf(generation -> generation.completion().isDone());
      }
    }
    return finish(generations, latencies, start, refused);
  }

  private Generation submit(IntSupplier adapters, Latencies latencies, long due, long seed) {
    Latencies.Request request = latencies.new Request(due);
    List<Integer> prompt = new ArrayList<>(List.of(vocabulary.bos()));
    prompt.addAll(vocabulary.prompt(seed, promptTokens - 1));
    return lorikeet.submit(
        GenerationRequest.tokens(prompt)
            .adapter(Integer.toString(adapters.getAsInt()))
            .stop(StopConditions.maxTokens(tokens).ignoringEos())
            .build(),
        RequestObserver.tokens(token -> request.token()));
  }

  private Result finish(
      List<Generation> generations, Latencies latencies, long start, int refused) {
    generations.forEach(Generation::await);
    double seconds = (System.nanoTime() - start) / 1e9;
    int served = latencies.requests();
    return new Result(
        served,
        refused,
        seconds,
        served * (double) tokens / seconds,
        latencies.firstToken(),
        latencies.perToken());
  }
}
