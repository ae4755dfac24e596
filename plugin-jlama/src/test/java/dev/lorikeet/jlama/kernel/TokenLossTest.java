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
  void bothTwinsSumAsFloat64AndLeaveWhatTheyAdded() {
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
          double found = logSumExp(loss, arena, logits, chunk);
          assertEquals(Math.log(sum), found, 1e-6, () -> "seed " + seed);
          double[] max = {Double.NEGATIVE_INFINITY};
          double[] total = {0};
          double scaled = 0;
          for (int first = 0; first < vocabulary; first += chunk) {
            int columns = Math.min(chunk, vocabulary - first);
            Rows part = part(arena, logits, first, columns);
            scaled *= loss.take(part, 0, columns, max, total);
            for (int i = 0; i < columns; i++) {
              scaled += part.get(0, i);
              double power = Math.exp(logits.get(0, first + i) - max[0]);
              assertEquals(power, part.get(0, i), 2e-6, () -> "seed " + seed);
            }
          }
          assertEquals(total[0], scaled, 1e-5 * total[0], () -> "seed " + seed);
        }
      }
    }
  }

  @Test
  void bothTwinsAddScaleAndDifferentiate() {
    for (TokenLoss loss : List.of(new ScalarTokenLoss(), new VectorTokenLoss())) {
      try (Arena arena = Arena.ofConfined()) {
        int hidden = 32 * (1 + random.nextInt(3));
        WeightMatrix output = RandomWeights.q4(arena, random, 11, hidden);
        Rows x = RandomWeights.rows(arena, random, 3, hidden, 1);
        Rows y = RandomWeights.rows(arena, random, 3, hidden, 2);
        Rows before = Rows.allocate(arena, 3, hidden);
        for (int row = 0; row < 3; row++) {
          y.copyRow(row, before, row);
        }
        loss.addAndScale(x, y, 1, 0.25f);
        Rows dx = RandomWeights.rows(arena, random, 3, hidden, 0);
        loss.gradient(output, 7, y, dx, 1, -3);
        for (int i = 0; i < hidden; i++) {
          float sum = 0.25f * (before.get(1, i) + x.get(1, i));
          assertEquals(sum, y.get(1, i), 1e-6f, () -> "seed " + seed);
          assertEquals(-3 * (output.get(7, i) - sum), dx.get(1, i), 1e-5f, () -> "seed " + seed);
          assertEquals(before.get(0, i), y.get(0, i));
          assertEquals(before.get(2, i), y.get(2, i));
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
