package dev.lorikeet.training.trainer;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The loss of pairs against its formula, and its gradient against finite differences. */
class ContrastiveLossTest {
  private static final int WIDTH = 7;
  private static final int ROW = 3;
  private static final double TEMPERATURE = 0.3;

  private final long seed = Long.getLong("lorikeet.seed", System.nanoTime());
  private final Random random = new Random(seed);

  private float[] states(int pairs) {
    float[] states = new float[(ROW + 2 * pairs + 1) * WIDTH];
    for (int i = 0; i < states.length; i++) {
      states[i] = (float) random.nextGaussian();
    }
    return states;
  }

  private static double reference(float[] states, int pairs) {
    double loss = 0;
    for (int i = 0; i < pairs; i++) {
      double row = 0;
      double column = 0;
      for (int j = 0; j < pairs; j++) {
        row += Math.exp(cosine(states, ROW + 2 * i, ROW + 2 * j + 1) / TEMPERATURE);
        column += Math.exp(cosine(states, ROW + 2 * j, ROW + 2 * i + 1) / TEMPERATURE);
      }
      double right = Math.exp(cosine(states, ROW + 2 * i, ROW + 2 * i + 1) / TEMPERATURE);
      loss -= (Math.log(right / row) + Math.log(right / column)) / 2 / pairs;
    }
    return loss;
  }

  private static double cosine(float[] states, int x, int y) {
    double dot = 0;
    double ofX = 0;
    double ofY = 0;
    for (int f = 0; f < WIDTH; f++) {
      double a = states[x * WIDTH + f];
      double b = states[y * WIDTH + f];
      dot += a * b;
      ofX += a * a;
      ofY += b * b;
    }
    return dot / Math.sqrt(ofX) / Math.sqrt(ofY);
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 2, 5})
  void theGradientIsThatOfTheFormula(int pairs) {
    float[] states = states(pairs);
    ContrastiveLoss loss = new ContrastiveLoss(states, ROW, pairs, WIDTH, TEMPERATURE);
    assertEquals(reference(states, pairs), loss.loss(), 1e-9, "seed " + seed);
    float[] gradient = new float[states.length];
    loss.gradient(2, gradient, ROW);
    for (int i = 0; i < states.length; i++) {
      float before = states[i];
      float above = before + 0x1p-10f;
      float below = before - 0x1p-10f;
      states[i] = above;
      double more = reference(states, pairs);
      states[i] = below;
      double less = reference(states, pairs);
      states[i] = before;
      assertEquals(2 * (more - less) / ((double) above - below), gradient[i], 1e-4, "seed " + seed);
    }
  }

  @Test
  void statesThatAreNearestToTheirOwnAreFound() {
    float[] states = new float[(ROW + 6) * WIDTH];
    int[] directions = {0, 0, 1, 2, 2, 1};
    for (int r = 0; r < directions.length; r++) {
      states[(ROW + r) * WIDTH + directions[r]] = r + 1;
    }
    ContrastiveLoss loss = new ContrastiveLoss(states, ROW, 3, WIDTH, TEMPERATURE);
    // The second prompt is nearest to the wording of the third, and the other way round.
    assertEquals(1, loss.found());
    assertEquals(reference(states, 3), loss.loss(), 1e-9);
  }

  @Test
  void aStateOfZerosHasAFiniteGradient() {
    float[] states = states(2);
    for (int f = 0; f < WIDTH; f++) {
      states[ROW * WIDTH + f] = 0;
    }
    ContrastiveLoss loss = new ContrastiveLoss(states, ROW, 2, WIDTH, TEMPERATURE);
    float[] gradient = new float[states.length];
    loss.gradient(1, gradient, ROW);
    for (float value : gradient) {
      assertTrue(Float.isFinite(value), "seed " + seed);
    }
  }
}
