package dev.lorikeet.host.sampling;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.model.Sampling;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.TreeSet;
import org.junit.jupiter.api.Test;

class SamplerTest {
  private static final float[] LOGITS = {1f, 3f, -2f, 2.5f, 3f, 0f};

  /** Chi-square of 5 degrees of freedom exceeds this once in 10 million runs. */
  private static final double CHI_SQUARE_BOUND = 41;

  @Test
  void frequenciesFollowTheSoftmaxAtTheTemperature() {
    Sampling sampling = Sampling.of(0.7f, 0);
    double[] expected = new double[LOGITS.length];
    double total = 0;
    for (int i = 0; i < LOGITS.length; i++) {
      total += expected[i] = Math.exp(LOGITS[i] / 0.7);
    }
    int draws = 200_000;
    int[] counts = draw(sampling, draws);
    double chiSquare = 0;
    for (int i = 0; i < LOGITS.length; i++) {
      double mean = draws * expected[i] / total;
      chiSquare += (counts[i] - mean) * (counts[i] - mean) / mean;
    }
    assertTrue(chiSquare < CHI_SQUARE_BOUND, "chi-square " + chiSquare);
  }

  @Test
  void topKKeepsTheLikeliestAndAllThatEqualTheLastOfThem() {
    assertEquals(Set.of(1, 4), drawn(Sampling.of(1f, 0).withTopK(2)));
    assertEquals(
        Set.of(1, 4), drawn(Sampling.of(2f, 0).withTopK(1)), "two share the largest logit");
    assertEquals(Set.of(1, 3, 4), drawn(Sampling.of(1f, 0).withTopK(3)));
  }

  @Test
  void topPKeepsTheSmallestSetThatReachesTheProbability() {
    // Probabilities in order: 0.353, 0.353, 0.214, 0.048, 0.018, 0.002 and a rest.
    assertEquals(Set.of(1), drawn(Sampling.of(1f, 0).withTopP(0.1f)));
    assertEquals(Set.of(1, 4), drawn(Sampling.of(1f, 0).withTopP(0.5f)));
    assertEquals(Set.of(1, 3, 4), drawn(Sampling.of(1f, 0).withTopP(0.9f)));
  }

  @Test
  void theDrawIsTheOneFromASortedList() {
    long seed = System.nanoTime();
    Random random = new Random(seed);
    for (int round = 0; round < 3_000; round++) {
      int vocabulary = 2 + random.nextInt(80);
      float[] logits = new float[vocabulary];
      boolean coarse = random.nextBoolean();
      for (int i = 0; i < vocabulary; i++) {
        float logit = (float) random.nextGaussian(0, 3);
        logits[i] = coarse ? Math.round(logit) : logit;
      }
      int topK = random.nextInt(4) == 0 ? 0 : random.nextInt(vocabulary + 2);
      float topP = random.nextInt(3) == 0 ? 1f : 1 - random.nextFloat();
      Sampling sampling =
          Sampling.of(0.1f + 2 * random.nextFloat(), 0).withTopK(topK).withTopP(topP);
      long drawSeed = random.nextLong();
      assertEquals(
          fromSorted(logits, sampling, new Random(drawSeed)),
          new Sampler(vocabulary).draw(logits, vocabulary, sampling, new Random(drawSeed)),
          "seed " + seed + " round " + round + " " + sampling);
    }
  }

  /** Draws as the definition says: sort, cut, add up. */
  private static int fromSorted(float[] logits, Sampling sampling, Random random) {
    List<Integer> tokens = new ArrayList<>();
    for (int i = 0; i < logits.length; i++) {
      tokens.add(i);
    }
    boolean filtered =
        (sampling.topK() > 0 && sampling.topK() < logits.length) || sampling.topP() < 1;
    if (filtered) {
      tokens.sort(Comparator.comparingDouble((Integer i) -> -logits[i]).thenComparing(i -> i));
    }
    if (sampling.topK() > 0 && sampling.topK() < logits.length) {
      float least = logits[tokens.get(sampling.topK() - 1)];
      tokens.removeIf(i -> logits[i] < least);
    }
    double max = tokens.stream().mapToDouble(i -> logits[i]).max().orElseThrow();
    double[] weights =
        tokens.stream()
            .mapToDouble(i -> Math.exp((logits[i] - max) / sampling.temperature()))
            .toArray();
    double total = Arrays.stream(weights).sum();
    int stay = tokens.size();
    if (sampling.topP() < 1) {
      double kept = 0;
      for (stay = 0; stay < tokens.size() && (stay == 0 || kept < sampling.topP() * total); ) {
        kept += weights[stay++];
      }
      total = kept;
    }
    double rest = random.nextDouble() * total;
    for (int i = 0; i < stay; i++) {
      rest -= weights[i];
      if (rest < 0) {
        return tokens.get(i);
      }
    }
    return tokens.get(stay - 1);
  }

  @Test
  void theSameSeedDrawsTheSameTokens() {
    Sampling sampling = Sampling.of(1.5f, 0).withTopK(4).withTopP(0.95f);
    Sampler sampler = new Sampler(LOGITS.length);
    Random first = new Random(5);
    Random second = new Random(5);
    for (int i = 0; i < 100; i++) {
      assertEquals(
          sampler.draw(LOGITS, LOGITS.length, sampling, first),
          sampler.draw(LOGITS, LOGITS.length, sampling, second));
    }
  }

  private static Set<Integer> drawn(Sampling sampling) {
    int[] counts = draw(sampling, 20_000);
    Set<Integer> drawn = new TreeSet<>();
    for (int i = 0; i < counts.length; i++) {
      if (counts[i] > 0) {
        drawn.add(i);
      }
    }
    return drawn;
  }

  private static int[] draw(Sampling sampling, int draws) {
    Sampler sampler = new Sampler(LOGITS.length);
    Random random = new Random(11);
    int[] counts = new int[LOGITS.length];
    for (int i = 0; i < draws; i++) {
      counts[sampler.draw(LOGITS, LOGITS.length, sampling, random)]++;
    }
    return counts;
  }
}
