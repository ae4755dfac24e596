package dev.lorikeet.host.serving;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.host.stream.ResultFuture;
import dev.lorikeet.host.stream.Writer;
import dev.lorikeet.host.telemetry.RequestTrace;
import dev.lorikeet.model.RequestObserver;
import dev.lorikeet.model.Score;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.CompletableFuture;

/** Collects the log-probabilities of given tokens. */
final class ScoreTask implements Task {
  private final RequestObserver observer;
  private final RequestTrace trace;
  private final ResultFuture<Score> future;
  private final int[] tokens;
  private final double[] logProbabilities;

  ScoreTask(RequestObserver observer, RequestTrace trace, int[] tokens, Writer writer) {
    this.observer = observer;
    this.trace = trace;
    this.future = new ResultFuture<>(writer);
    this.tokens = tokens;
    this.logProbabilities = new double[tokens.length - 1];
  }

  CompletableFuture<Score> future() {
    return future;
  }

  @Override
  public RequestObserver observer() {
    return observer;
  }

  @Override
  public RequestTrace trace() {
    return trace;
  }

  @Override
  public int leastTokensToCome() {
    return 0;
  }

  @Override
  public int mostTokensToCome() {
    return 0;
  }

  @Override
  public int tokensToCome(double usual) {
    return 1;
  }

  @Override
  public boolean wantsAllLogits() {
    return true;
  }

  /**
   * Notes the log-probability of the token at a position, given those before. A position may come
   * again after preemption.
   */
  void note(int position, double logProbability) {
    logProbabilities[position - 1] = logProbability;
  }

  void finish() {
    List<Double> values = new ArrayList<>(logProbabilities.length);
    for (double value : logProbabilities) {
      values.add(value);
    }
    try {
      trace.scored();
    } finally {
      tell(() -> future.complete(new Score(Arrays.stream(tokens).boxed().toList(), values)));
    }
  }

  @Override
  public void fail(LorikeetException failure) {
    try {
      trace.failed(failure);
    } finally {
      tell(() -> future.completeExceptionally(failure));
    }
  }

  /** What depends on the future may take its time, which the decoding thread does not have. */
  private static void tell(Runnable completion) {
    Thread.ofVirtual().name("lorikeet-completion").start(completion);
  }
}
