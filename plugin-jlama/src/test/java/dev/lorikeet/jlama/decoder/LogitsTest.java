package dev.lorikeet.jlama.decoder;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;

import dev.lorikeet.jlama.kernel.Elementwise;
import dev.lorikeet.jlama.kernel.Kernels;
import dev.lorikeet.jlama.kernel.Shard;
import java.lang.foreign.Arena;
import java.util.Random;
import org.junit.jupiter.api.Test;

/** The sum of exponentials tells logits that give no probabilities. */
class LogitsTest {
  private final Elementwise elementwise = Kernels.get().elementwise();

  private static Logits random(Arena arena, int vocabulary, Random random) {
    Logits logits = new Logits(arena, 2, vocabulary, 1);
    for (int row = 0; row < 2; row++) {
      for (int i = 0; i < vocabulary; i++) {
        logits.rows().set(row, i, (float) (10 * random.nextGaussian()));
      }
    }
    return logits;
  }

  @Test
  void isNotFiniteForNanAndInfinityAnywhere() {
    long seed = new Random().nextLong();
    Random random = new Random(seed);
    for (int round = 0; round < 500; round++) {
      int vocabulary = 1 + random.nextInt(90);
      try (Arena arena = Arena.ofConfined()) {
        Logits logits = random(arena, vocabulary, random);
        float bad = random.nextBoolean() ? Float.NaN : Float.POSITIVE_INFINITY;
        logits.rows().set(0, random.nextInt(vocabulary), bad);
        logits.summarize(elementwise, 2, Shard.WHOLE);
        String told = "seed " + seed + ", vocabulary " + vocabulary + ": " + bad;
        assertFalse(Double.isFinite(logits.logSumExp(0)), told);
        assertEquals(exact(logits, 1), logits.logSumExp(1), 1e-4, told);
      }
    }
  }

  @Test
  void isFiniteUnlessNothingIsPossible() {
    for (int vocabulary = 1; vocabulary < 70; vocabulary++) {
      try (Arena arena = Arena.ofConfined()) {
        Logits logits = new Logits(arena, 2, vocabulary, 1);
        for (int i = 0; i < vocabulary; i++) {
          logits.rows().set(0, i, Float.NEGATIVE_INFINITY);
          logits.rows().set(1, i, i == vocabulary / 2 ? 3f : Float.NEGATIVE_INFINITY);
        }
        logits.summarize(elementwise, 2, Shard.WHOLE);
        assertFalse(Double.isFinite(logits.logSumExp(0)), "vocabulary " + vocabulary);
        assertEquals(3, logits.logSumExp(1), 1e-6, "vocabulary " + vocabulary);
      }
    }
  }

  private static double exact(Logits logits, int row) {
    double sum = 0;
    for (int i = 0; i < logits.rows().columns(); i++) {
      sum += Math.exp(logits.rows().get(row, i));
    }
    return Math.log(sum);
  }
}
