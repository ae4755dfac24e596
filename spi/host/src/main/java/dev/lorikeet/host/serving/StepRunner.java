package dev.lorikeet.host.serving;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.host.sampling.Sampler;
import dev.lorikeet.host.step.StepBatch;
import dev.lorikeet.host.step.StepDecoder;
import dev.lorikeet.host.step.Turns;
import dev.lorikeet.host.switching.SwitchStats;
import dev.lorikeet.model.LogitsObserver;
import dev.lorikeet.model.Sampling;
import dev.lorikeet.shape.ModelShape;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.function.LongSupplier;

/**
 * Runs one iteration: collects the sequences that take part, computes them as one batch and hands
 * out what came of it. Used by the decoding thread alone.
 */
final class StepRunner implements AutoCloseable {
  private final StepDecoder decoder;
  private final Turns turns;
  private final Limits limits;
  private final LongSupplier clock;
  private final Arena arena = Arena.ofShared();
  private final StepBatch batch;
  private final StepRouting routing;
  private final Sampler sampler;
  private final float[] logits;
  private final List<Sequence> planned = new ArrayList<>();
  private final int[] counts;
  private int freeTokens;
  private int freeScoreLogits;
  private long steps;
  private long prefillTokens;
  private long decodeTokens;

  StepRunner(
      StepDecoder decoder,
      Turns turns,
      Limits limits,
      RouterPolicy routers,
      ModelShape shape,
      LongSupplier clock) {
    this.clock = clock;
    this.decoder = decoder;
    this.turns = turns;
    this.limits = limits;
    this.batch = new StepBatch(limits.batchTokens(), limits.batchSequences(), limits.logits());
    this.routing = new StepRouting(arena, limits, shape.layers(), shape.hidden(), routers);
    this.sampler = new Sampler(shape.vocabulary());
    this.logits = new float[shape.vocabulary()];
    this.counts = new int[limits.batchSequences()];
  }

  /** Begins to collect a batch. */
  void begin() {
    planned.clear();
    freeTokens = limits.batchTokens();
    // Every sequence that generates has its row of logits; only the rest is for scores.
    freeScoreLogits = limits.logits() - limits.batchSequences();
  }

  /** Returns how many more tokens the batch can take. */
  int freeTokens() {
    return freeTokens;
  }

  /** Returns how many of a sequence's remaining tokens the batch can take. */
  int chunk(Sequence sequence) {
    int chunk = Math.min(sequence.remaining(), freeTokens);
    if (sequence.task().wantsAllLogits()) {
      return Math.min(chunk, freeScoreLogits);
    }
    boolean oneByOne = sequence.oneByOne();
    if (oneByOne && sequence.computed() >= sequence.promptLength()) {
      return Math.min(chunk, 1);
    }
    return oneByOne ? Math.min(chunk, sequence.promptLength() - sequence.computed()) : chunk;
  }

  /** Lets a sequence take part with its next tokens. */
  void add(Sequence sequence, int count) {
    counts[planned.size()] = count;
    planned.add(sequence);
    freeTokens -= count;
    freeScoreLogits -= sequence.task().wantsAllLogits() ? count : 0;
  }

  /** Takes a sequence out again, if it was in. */
  void withdraw(Sequence sequence) {
    int at = planned.indexOf(sequence);
    if (at >= 0) {
      planned.remove(at);
      freeTokens += counts[at];
      freeScoreLogits += sequence.task().wantsAllLogits() ? counts[at] : 0;
      System.arraycopy(counts, at + 1, counts, at, planned.size() - at);
    }
  }

  /** There is nothing to compute for now. */
  void rest() {
    turns.rest();
  }

  /** Forgets a sequence that has ended. */
  void forget(Sequence sequence) {
    routing.forget(sequence);
  }

  boolean isEmpty() {
    return planned.isEmpty();
  }

  int size() {
    return planned.size();
  }

  /**
   * Computes the batch; adds the sequences that ended, with their completion set, to {@code ended}.
   */
  void run(List<Sequence> ended) {
    batch.reset();
    routing.reset();
    long now = clock.getAsLong();
    for (int i = 0; i < planned.size(); i++) {
      Sequence sequence = planned.get(i);
      int count = counts[i];
      sequence.started(now);
      int first = batch.tokens();
      batch.add(sequence.kv(), sequence.tokens(), sequence.computed(), count);
      routing.add(sequence, count);
      if (sequence.task().wantsAllLogits()) {
        for (int t = 0; t < count; t++) {
          if (sequence.computed() + t + 1 < sequence.length()) {
            batch.wantLogits(first + t);
          }
        }
      } else if (count == sequence.remaining()) {
        batch.wantLogits(first + count - 1);
      }
      if (sequence.computed() < sequence.promptLength()) {
        prefillTokens += count;
      } else {
        decodeTokens += count;
      }
    }
    turns.beginStep();
    try {
      decoder.forward(batch, routing);
    } finally {
      turns.endStep();
    }
    steps++;
    int row = 0;
    for (int i = 0; i < planned.size(); i++) {
      Sequence sequence = planned.get(i);
      row += handOut(sequence, counts[i], row);
      if (sequence.completion().isPresent()) {
        ended.add(sequence);
      }
    }
  }

  /** Gives a sequence its results and returns how many rows of logits it had. */
  private int handOut(Sequence sequence, int count, int row) {
    int from = sequence.computed();
    sequence.advance(count);
    switch (sequence.task()) {
      case ScoreTask score -> {
        int rows = Math.min(count, sequence.length() - 1 - from);
        for (int r = 0; r < rows; r++) {
          int next = sequence.tokens()[from + r + 1];
          double norm = decoder.logSumExp(row + r);
          if (Double.isFinite(norm)) {
            score.note(from + r + 1, decoder.logit(row + r, next) - norm);
          } else if (!sequence.failed()) {
            sequence.fail(notFinite(sequence, row + r, from + r));
          }
        }
        if (sequence.remaining() == 0 && !sequence.failed()) {
          sequence.complete(score::finish);
        }
        return rows;
      }
      case GenerateTask generate -> {
        if (sequence.remaining() > 0) {
          return 0;
        }
        if (!sequence.failed()) {
          draw(sequence, generate, row);
        }
        return 1;
      }
    }
  }

  private void draw(Sequence sequence, GenerateTask task, int row) {
    double norm = decoder.logSumExp(row);
    if (!Double.isFinite(norm)) {
      sequence.fail(notFinite(sequence, row, sequence.length() - 1));
      return;
    }
    Optional<LogitsObserver> observer = task.observer().onLogits();
    if (observer.isPresent()) {
      MemorySegment seen = decoder.logits(row).asReadOnly();
      try {
        observer.get().onLogits(task.generated(), seen);
      } catch (Throwable e) {
        sequence.fail(GenerateTask.observerFailed("onLogits", e));
        return;
      }
    }
    Sampling sampling = task.request().sampling();
    int token;
    if (sampling.isGreedy()) {
      token = decoder.best(row);
    } else {
      MemorySegment.copy(decoder.logits(row), ValueLayout.JAVA_FLOAT, 0, logits, 0, logits.length);
      token = sampler.draw(logits, logits.length, sampling, task.random());
    }
    sequence.append(token);
    float logProbability = (float) (decoder.logit(row, token) - norm);
    boolean last;
    try {
      last = task.accept(token, logProbability);
    } catch (RuntimeException | Error e) {
      sequence.fail(
          new LorikeetException(Code.INTERNAL, "the text of token " + token + " failed: " + e, e));
      return;
    }
    try {
      task.observe(token, logProbability);
    } catch (Throwable e) {
      sequence.fail(GenerateTask.observerFailed("onToken", e));
      return;
    }
    if (last) {
      long startedNanos = sequence.startedNanos();
      routing.ended(task.generated());
      sequence.complete(() -> task.finish(startedNanos));
    }
  }

  /** Returns the failure of a request whose logits give no probabilities. */
  private LorikeetException notFinite(Sequence sequence, int row, int position) {
    MemorySegment seen = decoder.logits(row);
    String found = "-Infinity for every token";
    for (int token = 0; token < logits.length; token++) {
      float logit = seen.getAtIndex(ValueLayout.JAVA_FLOAT, token);
      if (Float.isNaN(logit) || logit == Float.POSITIVE_INFINITY) {
        found = logit + " for token " + token;
        break;
      }
    }
    return new LorikeetException(
        Code.NOT_FINITE,
        "logits at position "
            + position
            + ": expected numbers, found "
            + found
            + "; the request uses "
            + (sequence.adapters().isEmpty() ? "no adapter" : "adapters " + sequence.adapters()));
  }

  long steps() {
    return steps;
  }

  long prefillTokens() {
    return prefillTokens;
  }

  long decodeTokens() {
    return decodeTokens;
  }

  SwitchStats switchStats() {
    return decoder.switchStats();
  }

  int blockTokens() {
    return decoder.kv().blockTokens();
  }

  int kvCachePages() {
    return decoder.kv().pagesInUse();
  }

  /** Releases the batch's memory, after the decoding thread has ended. */
  @Override
  public void close() {
    arena.close();
  }
}
