package dev.lorikeet.conformance.model;

import dev.lorikeet.model.Sampling;
import java.util.Comparator;
import java.util.List;
import java.util.SplittableRandom;
import java.util.stream.IntStream;

/** Draws tokens in double precision. */
final class ReferenceSampler {
  private ReferenceSampler() {}

  static int draw(double[] logits, Sampling sampling, SplittableRandom random) {
    if (sampling.isGreedy()) {
      return argmax(logits);
    }
    List<Integer> order =
        IntStream.range(0, logits.length)
            .boxed()
            .sorted(Comparator.comparingDouble((Integer i) -> -logits[i]))
            .limit(sampling.topK() == 0 ? logits.length : sampling.topK())
            .toList();
    double[] weights =
        order.stream()
            .mapToDouble(
                i -> Math.exp((logits[i] - logits[order.getFirst()]) / sampling.temperature()))
            .toArray();
    double total = IntStream.range(0, weights.length).mapToDouble(i -> weights[i]).sum();
    int kept = 0;
    double sum = 0;
    while (kept < weights.length && sum / total < sampling.topP()) {
      sum += weights[kept++];
    }
    double left = random.nextDouble() * sum;
    for (int i = 0; i < kept; i++) {
      left -= weights[i];
      if (left < 0) {
        return order.get(i);
      }
    }
    return order.get(kept - 1);
  }

  static int argmax(double[] logits) {
    int best = 0;
    for (int i = 1; i < logits.length; i++) {
      best = logits[i] > logits[best] ? i : best;
    }
    return best;
  }
}
