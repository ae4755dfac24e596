package dev.lorikeet.conformance.model;

import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.conformance.model.ModelBench.Running;
import dev.lorikeet.model.Sampling;
import dev.lorikeet.model.StopConditions;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.stream.IntStream;

/**
 * Draws many times from known logits and compares with the filtered distribution: temperature, then
 * top-k, then top-p over what is left. A token whose place at the border of a filter is a matter of
 * rounding may be drawn or not.
 */
final class SamplingCheck {
  private static final double ROUNDING = 1e-4;

  /** How many requests are under way at once: a model may refuse to queue thousands. */
  private static final int AT_ONCE = 100;

  private final Sampling filter;
  private final double[] probabilities;
  private final boolean[] allowed;

  SamplingCheck(float[] logits, Sampling filter) {
    this.filter = filter;
    int size = logits.length;
    List<Integer> order =
        IntStream.range(0, size)
            .boxed()
            .sorted(Comparator.comparingDouble((Integer i) -> -logits[i]))
            .toList();
    int kept = filter.topK() == 0 ? size : Math.min(filter.topK(), size);
    double[] weights = new double[size];
    double total = 0;
    for (int rank = 0; rank < kept; rank++) {
      int id = order.get(rank);
      weights[id] = Math.exp((logits[id] - logits[order.getFirst()]) / filter.temperature());
      total += weights[id];
    }
    allowed = new boolean[size];
    probabilities = new double[size];
    double sum = 0;
    double certain = 0;
    for (int rank = 0; rank < kept; rank++) {
      int id = order.get(rank);
      double before = sum / total;
      allowed[id] = before < filter.topP() + ROUNDING;
      if (before < filter.topP()) {
        probabilities[id] = weights[id];
        certain += weights[id];
      }
      sum += weights[id];
    }
    for (int id = 0; id < size; id++) {
      probabilities[id] /= certain;
    }
  }

  void run(ModelBench bench, List<Integer> prompt, int draws) {
    int[] counts = new int[probabilities.length];
    for (int drawn = 0; drawn < draws; drawn += AT_ONCE) {
      draw(bench, prompt, Math.min(AT_ONCE, draws - drawn), counts);
    }
    check(counts, draws);
  }

  private void draw(ModelBench bench, List<Integer> prompt, int draws, int[] counts) {
    List<Running> running = new ArrayList<>();
    for (int i = 0; i < draws; i++) {
      Sampling sampling =
          Sampling.of(filter.temperature(), bench.trial.random().nextLong())
              .withTopK(filter.topK())
              .withTopP(filter.topP());
      running.add(
          bench.submit(
              prompt, r -> r.sampling(sampling).stop(StopConditions.maxTokens(1).ignoringEos())));
    }
    for (Running r : running) {
      counts[r.await(bench.trial).result().tokens().getFirst()]++;
    }
  }

  private void check(int[] counts, int draws) {
    for (int id = 0; id < counts.length; id++) {
      int token = id;
      assertTrue(
          counts[id] == 0 || allowed[id],
          () -> filter + " drew token " + token + ", which the filters exclude");
      double mean = draws * probabilities[id];
      // Seven standard deviations and some: less than one false alarm in 10^9 for all tokens.
      double bound = 7 * Math.sqrt(mean) + 7 + draws * ROUNDING;
      assertTrue(
          Math.abs(counts[id] - mean) <= bound,
          () ->
              filter
                  + " drew token "
                  + token
                  + " "
                  + counts[token]
                  + " times, expected about "
                  + mean);
    }
  }
}
