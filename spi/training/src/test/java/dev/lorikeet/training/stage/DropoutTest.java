package dev.lorikeet.training.stage;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.lorikeet.shape.Projection;
import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.Test;

/** What is left out: how much of it, and that nothing else decides it than is said. */
class DropoutTest {
  private static float[] drawn(Dropout dropout, int layer, Projection first, int at, int length) {
    float[] row = new float[length];
    Arrays.fill(row, 1);
    dropout.apply(layer, first, at, row, length);
    return row;
  }

  @Test
  void asMuchIsLeftOutAsTheProbabilitySaysAndTheMeanStays() {
    long seed = new Random().nextLong();
    for (float p : new float[] {0.05f, 0.3f, 0.5f, 0.9f}) {
      Dropout dropout = new Dropout(p, seed);
      int out = 0;
      double sum = 0;
      int count = 0;
      for (int position = 0; position < 500; position++) {
        for (float value : drawn(dropout, 3, Projection.GATE, position, 401)) {
          out += value == 0 ? 1 : 0;
          sum += value;
          count++;
        }
      }
      double deviation = Math.sqrt(p * (1 - p) / count);
      assertEquals(p, (double) out / count, 6 * deviation + 1e-5, "seed " + seed);
      assertEquals(1, sum / count, 6 * deviation / (1 - p) + 1e-4, "seed " + seed);
    }
  }

  @Test
  void placeAndKeyDecide() {
    Dropout dropout = new Dropout(0.5f, 7);
    float[] row = drawn(dropout, 1, Projection.Q, 2, 64);
    assertArrayEquals(row, drawn(new Dropout(0.5f, 7), 1, Projection.Q, 2, 64));
    assertArrayEquals(Arrays.copyOf(row, 13), drawn(dropout, 1, Projection.Q, 2, 13));
    assertFalse(Arrays.equals(row, drawn(new Dropout(0.5f, 8), 1, Projection.Q, 2, 64)));
    assertFalse(Arrays.equals(row, drawn(dropout, 0, Projection.Q, 2, 64)));
    assertFalse(Arrays.equals(row, drawn(dropout, 1, Projection.O, 2, 64)));
    assertFalse(Arrays.equals(row, drawn(dropout, 1, Projection.Q, 3, 64)));
  }

  @Test
  void nothingIsLeftOutWithoutAProbability() {
    assertArrayEquals(new float[] {1, 1, 1}, drawn(Dropout.NONE, 0, Projection.Q, 0, 3));
    for (float p : new float[] {1, -0.1f, Float.NaN}) {
      assertThrows(IllegalArgumentException.class, () -> new Dropout(p, 1));
    }
  }
}
