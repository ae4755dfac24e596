package dev.lorikeet.jlama.kernel;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;

import java.lang.foreign.Arena;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

class TokenLossTest {
  private final long seed = Long.getLong("lorikeet.seed", System.nanoTime());
  private final Random random = new Random(seed);

  /** Returns the logarithm of the sum of exponentials of the first row. */
  private static double logSumExp(TokenLoss loss, Arena arena, Rows logits, int chunk) {
    double[] max = {Double.NEGATIVE_INFINITY};
    double[] sum = {0};
    for (int first = 0; first < logits.columns(); first += chunk) {
      int columns = Math.min(chunk, logits.columns() - first);
      loss.take(part(arena, logits, first, columns), 0, columns, max, sum);
    }
    return max[0] + Math.log(sum[0]);
  }

  private static Rows part(Arena arena, Rows logits, int first, int columns) {
    Rows part = Rows.allocate(arena, 1, columns);
    for (int i = 0; i < columns; i++) {
      part.set(0, i, logits.get(0, first + i));
    }
    return part;
  }

  @Test
  void bothTwinsSumAndDifferentiateAsFloat64() {
    for (TokenLoss loss : List.of(new ScalarTokenLoss(), new VectorTokenLoss())) {
      for (int round = 0; round < 40; round++) {
        int vocabulary = 1 + random.nextInt(300);
        int chunk = 1 + random.nextInt(vocabulary);
        try (Arena arena = Arena.ofConfined()) {
          Rows logits = RandomWeights.rows(arena, random, 1, vocabulary, 0);
          for (int i = 0; i < vocabulary; i++) {
            logits.set(0, i, 10 * logits.get(0, i));
          }
          double sum = 0;
          for (int i = 0; i < vocabulary; i++) {
            sum += Math.exp(logits.get(0, i));
          }
          double expected = Math.log(sum);
          double found = logSumExp(loss, arena, logits, chunk);
          assertEquals(expected, found, 1e-6, () -> "seed " + seed);
          int label = random.nextInt(vocabulary);
          float coefficient = (float) random.nextGaussian();
          for (int first = 0; first < vocabulary; first += chunk) {
            int columns = Math.min(chunk, vocabulary - first);
            Rows part = part(arena, logits, first, columns);
            boolean here = label >= first && label < first + columns;
            loss.gradient(part, 0, columns, here ? label - first : -1, found, coefficient);
            for (int i = 0; i < columns; i++) {
              double p = Math.exp(logits.get(0, first + i) - expected);
              double gradient = coefficient * ((first + i == label ? 1 : 0) - p);
              assertEquals(gradient, part.get(0, i), 2e-5, () -> "seed " + seed);
            }
          }
        }
      }
    }
  }

  @Test
  void whatIsNotFiniteShows() {
    for (TokenLoss loss : List.of(new ScalarTokenLoss(), new VectorTokenLoss())) {
      for (float wrong : new float[] {Float.NaN, Float.POSITIVE_INFINITY}) {
        for (int at = 0; at < 70; at++) {
          try (Arena arena = Arena.ofConfined()) {
            Rows logits = Rows.allocate(arena, 1, 70);
            logits.set(0, at, wrong);
            assertFalse(Double.isFinite(logSumExp(loss, arena, logits, 37)), wrong + " at " + at);
          }
        }
      }
    }
  }

  @Test
  void aRowDoesNotDependOnTheOthers() {
    try (Arena arena = Arena.ofConfined()) {
      Rows rows = RandomWeights.rows(arena, random, 3, 99, 2);
      Rows copy = part(arena, RandomWeights.part(rows, 1, 1), 0, 99);
      double[] max = new double[3];
      double[] sum = new double[3];
      Arrays.fill(max, Double.NEGATIVE_INFINITY);
      for (int row = 0; row < 3; row++) {
        new VectorTokenLoss().take(rows, row, 99, max, sum);
      }
      double[] oneMax = {Double.NEGATIVE_INFINITY};
      double[] oneSum = {0};
      new VectorTokenLoss().take(copy, 0, 99, oneMax, oneSum);
      assertEquals(oneMax[0], max[1]);
      assertEquals(oneSum[0], sum[1]);
    }
  }
}
