package dev.lorikeet.jlama.kernel;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Random;
import java.util.function.DoubleUnaryOperator;
import org.junit.jupiter.api.Test;

/** Layer norms, GELU and caps of both twins against float64. */
class ActivationTest {
  private static final Elementwise[] TWINS = {new VectorElementwise(), new ScalarElementwise()};

  private final long seed = Long.getLong("lorikeet.seed", System.nanoTime());
  private final Random random = new Random(seed);

  private void split(java.util.function.Consumer<Shard> work) {
    int shards = 1 + random.nextInt(4);
    for (int shard = 0; shard < shards; shard++) {
      work.accept(new Shard(shard, shards));
    }
  }

  private static Rows copy(Arena arena, Rows x) {
    MemorySegment segment = arena.allocate(x.segment().byteSize(), 4).copyFrom(x.segment());
    return new Rows(segment, x.stride(), x.rows(), x.columns());
  }

  /** The gaps behind rows must stay as they are. */
  private void gapsAreKept(Rows before, Rows after) {
    long floats = before.stride() / 4;
    for (int row = 0; row < before.rows(); row++) {
      for (long i = before.columns(); i < floats; i++) {
        float expected = before.segment().getAtIndex(ValueLayout.JAVA_FLOAT, row * floats + i);
        float found = after.segment().getAtIndex(ValueLayout.JAVA_FLOAT, row * floats + i);
        assertEquals(expected, found, 0, () -> "seed " + seed + ", a gap");
      }
    }
  }

  @Test
  void layerNormIsThatOfFloat64InPlaceAndElsewhere() {
    for (int round = 0; round < 80; round++) {
      int tokens = 1 + random.nextInt(5);
      int columns = 1 + random.nextInt(150);
      float shift = random.nextInt(3) * 10f;
      float epsilon = random.nextBoolean() ? 1e-5f : 1e-2f;
      try (Arena arena = Arena.ofConfined()) {
        Rows x = RandomWeights.rows(arena, random, tokens, columns, random.nextInt(4));
        for (int i = 0; i < tokens * columns; i++) {
          x.set(i / columns, i % columns, 3 * x.get(i / columns, i % columns) + shift);
        }
        MemorySegment weight = RandomWeights.floats(arena, random, columns);
        MemorySegment bias = RandomWeights.floats(arena, random, columns);
        for (Elementwise kernels : TWINS) {
          Rows inPlace = copy(arena, x);
          Rows elsewhere = Rows.allocate(arena, tokens, columns);
          split(s -> kernels.layerNorm(inPlace, weight, bias, epsilon, inPlace, tokens, s));
          split(s -> kernels.layerNorm(x, weight, bias, epsilon, elsewhere, tokens, s));
          gapsAreKept(x, inPlace);
          for (int token = 0; token < tokens; token++) {
            double mean = 0;
            for (int i = 0; i < columns; i++) {
              mean += x.get(token, i) / (double) columns;
            }
            double variance = 0;
            for (int i = 0; i < columns; i++) {
              variance += Math.pow(x.get(token, i) - mean, 2) / columns;
            }
            for (int i = 0; i < columns; i++) {
              double w = weight.getAtIndex(ValueLayout.JAVA_FLOAT, i);
              double expected =
                  (x.get(token, i) - mean) / Math.sqrt(variance + epsilon) * w
                      + bias.getAtIndex(ValueLayout.JAVA_FLOAT, i);
              // What rounding the mean costs grows with it, in units of the deviation.
              double tolerance =
                  4e-6 * (1 + Math.abs(w)) * (1 + Math.abs(mean) / Math.sqrt(variance + epsilon));
              assertEquals(expected, inPlace.get(token, i), tolerance, () -> "seed " + seed);
              assertEquals(inPlace.get(token, i), elsewhere.get(token, i), 0);
            }
          }
        }
      }
    }
  }

  @Test
  void geluIsThatOfFloat64AndGeGluItsProduct() {
    for (int round = 0; round < 80; round++) {
      int tokens = 1 + random.nextInt(5);
      int columns = 1 + random.nextInt(150);
      try (Arena arena = Arena.ofConfined()) {
        Rows x = RandomWeights.rows(arena, random, tokens, columns, random.nextInt(4));
        for (int i = 0; i < tokens * columns; i += 3) {
          x.set(i / columns, i % columns, 8 * x.get(i / columns, i % columns));
        }
        Rows up = RandomWeights.rows(arena, random, tokens, columns, random.nextInt(4));
        for (Elementwise kernels : TWINS) {
          Rows gelu = copy(arena, x);
          Rows toGate = copy(arena, x);
          Rows toUp = copy(arena, up);
          split(s -> kernels.gelu(gelu, gelu, tokens, s));
          split(s -> kernels.geGlu(toGate, up, toGate, tokens, s));
          split(s -> kernels.geGlu(x, toUp, toUp, tokens, s));
          gapsAreKept(x, gelu);
          gapsAreKept(x, toGate);
          gapsAreKept(up, toUp);
          for (int i = 0; i < tokens * columns; i++) {
            int token = i / columns;
            int at = i % columns;
            float v = x.get(token, at);
            float found = gelu.get(token, at);
            assertEquals(gelu(v), found, 0x1p-22 * Math.abs(v), () -> "seed " + seed + " x " + v);
            assertEquals(found * up.get(token, at), toGate.get(token, at), 0, "seed " + seed);
            assertEquals(found * up.get(token, at), toUp.get(token, at), 0, "seed " + seed);
          }
        }
      }
    }
  }

  /** By the definition, with a tanh. */
  private static double gelu(double x) {
    return 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x * x * x)));
  }

  /** Returns the largest error over a dense range, in units of {@code unit(x)}. */
  private static double worst(
      float[] x, float[] y, DoubleUnaryOperator exact, DoubleUnaryOperator unit) {
    double worst = 0;
    for (int i = 0; i < x.length; i++) {
      worst =
          Math.max(worst, Math.abs(y[i] - exact.applyAsDouble(x[i])) / unit.applyAsDouble(x[i]));
    }
    return worst;
  }

  @Test
  void errorsStayBelowTheirBounds() {
    int count = 1 << 20;
    try (Arena arena = Arena.ofConfined()) {
      Rows rows = Rows.allocate(arena, 1, count);
      float[] x = new float[count];
      for (int i = 0; i < count; i++) {
        // Of all magnitudes from 2^-20 to 2^7, and of both signs.
        x[i] = (float) ((i % 2 * 2 - 1) * Math.pow(2, -20 + 27.0 * i / count));
        rows.set(0, i, x[i]);
      }
      float[] y = new float[count];
      new VectorElementwise().gelu(rows, rows, 1, Shard.WHOLE);
      MemorySegment.copy(rows.segment(), ValueLayout.JAVA_FLOAT, 0, y, 0, count);
      double gelu = worst(x, y, ActivationTest::gelu, Math::abs);
      assertTrue(gelu < 0x1p-22, "gelu: error of " + gelu + " of x");
      double result = worst(x, y, ActivationTest::gelu, v -> v > -3 ? Math.abs(gelu(v)) : 1e9);
      assertTrue(result < 0x1p-20, "gelu: error of " + result + " of the result");
      MemorySegment.copy(x, 0, rows.segment(), ValueLayout.JAVA_FLOAT, 0, count);
      new VectorElementwise().cap(rows, 0, 0.75f, 30);
      MemorySegment.copy(rows.segment(), ValueLayout.JAVA_FLOAT, 0, y, 0, count);
      DoubleUnaryOperator capped = v -> 30 * Math.tanh(v * 0.75 / 30);
      double cap = worst(x, y, capped, v -> Math.abs(capped.applyAsDouble(v)));
      assertTrue(cap < 0x1p-21, "cap: relative error of " + cap);
    }
  }

  @Test
  void largeAndUndefinedValuesNeitherOverflowNorSpread() {
    float[] x = {1e4f, -1e4f, 1e19f, -1e19f, 3e38f, -3e38f, 0x1p127f, -11, 0, -0f, 1e-40f};
    float infinite = Float.POSITIVE_INFINITY;
    for (Elementwise kernels : TWINS) {
      for (int columns : new int[] {3, 48}) {
        try (Arena arena = Arena.ofConfined()) {
          Rows row = Rows.allocate(arena, 1, columns);
          for (float value : x) {
            fill(row, value);
            kernels.gelu(row, row, 1, Shard.WHOLE);
            assertAll(row, Math.max(0, value), Math.abs(value) < 1 ? 1e-40 : 1e-32);
            fill(row, value);
            kernels.cap(row, 0, 2, 50);
            float expected = Math.abs(value) >= 1e4f ? Math.signum(value) * 50 : capped(value);
            assertAll(row, expected, 1e-5);
          }
          fill(row, infinite);
          kernels.gelu(row, row, 1, Shard.WHOLE);
          assertAll(row, infinite, 0);
          fill(row, -infinite);
          kernels.gelu(row, row, 1, Shard.WHOLE);
          assertAll(row, 0, 0);
          fill(row, -infinite);
          kernels.cap(row, 0, 1, 50);
          assertAll(row, -50, 0);
          fill(row, 1);
          row.set(0, 1, Float.NaN);
          kernels.gelu(row, row, 1, Shard.WHOLE);
          kernels.cap(row, 0, 1, 50);
          for (int i = 0; i < columns; i++) {
            assertEquals(i == 1, Float.isNaN(row.get(0, i)), "element " + i);
          }
        }
      }
    }
  }

  private static float capped(float value) {
    return (float) (50 * Math.tanh(value * 2.0 / 50));
  }

  private static void fill(Rows row, float value) {
    for (int i = 0; i < row.columns(); i++) {
      row.set(0, i, value);
    }
  }

  private static void assertAll(Rows row, float expected, double tolerance) {
    for (int i = 0; i < row.columns(); i++) {
      float found = row.get(0, i);
      assertTrue(
          found == expected || Math.abs(found - expected) <= tolerance,
          "element " + i + ": expected " + expected + ", found " + found);
    }
  }

  @Test
  void capsAreThoseOfFloat64AndTouchOneRow() {
    for (int round = 0; round < 80; round++) {
      int columns = 1 + random.nextInt(150);
      float factor = 0.1f + random.nextFloat();
      float cap = random.nextInt(3) == 0 ? 0 : 1 + 50 * random.nextFloat();
      try (Arena arena = Arena.ofConfined()) {
        Rows x = RandomWeights.rows(arena, random, 3, columns, random.nextInt(4));
        for (int i = 0; i < columns; i++) {
          x.set(1, i, 20 * x.get(1, i));
        }
        for (Elementwise kernels : TWINS) {
          Rows y = copy(arena, x);
          kernels.cap(y, 1, factor, cap);
          gapsAreKept(x, y);
          for (int i = 0; i < columns; i++) {
            double scaled = (double) x.get(1, i) * factor;
            double expected = cap == 0 ? scaled : cap * Math.tanh(scaled / cap);
            assertEquals(expected, y.get(1, i), 0x1p-21 * Math.abs(expected), "seed " + seed);
            assertEquals(x.get(0, i), y.get(0, i), 0, "seed " + seed);
            assertEquals(x.get(2, i), y.get(2, i), 0, "seed " + seed);
          }
        }
      }
    }
  }

  @Test
  void operandsThatDoNotFitAreRefused() {
    try (Arena arena = Arena.ofConfined()) {
      Rows x = Rows.allocate(arena, 2, 12);
      Rows narrow = Rows.allocate(arena, 2, 11);
      for (Elementwise kernels : TWINS) {
        refused(() -> kernels.gelu(x, narrow, 2, Shard.WHOLE));
        refused(() -> kernels.geGlu(x, narrow, x, 2, Shard.WHOLE));
        refused(() -> kernels.addScaled(x, 2, narrow, 2, Shard.WHOLE));
        refused(() -> kernels.gelu(x, x, 3, Shard.WHOLE));
        refused(() -> kernels.cap(x, 0, 1, -1));
        refused(() -> kernels.cap(x, 0, 1, Float.NaN));
      }
      MemorySegment weight = arena.allocate(48, 4);
      MemorySegment small = arena.allocate(44, 4);
      Elementwise vector = new VectorElementwise();
      refused(() -> vector.layerNorm(x, weight, small, 1e-5f, x, 2, Shard.WHOLE));
      refused(() -> vector.layerNorm(x, small, weight, 1e-5f, x, 2, Shard.WHOLE));
    }
  }

  private static void refused(org.junit.jupiter.api.function.Executable call) {
    assertThrows(IllegalArgumentException.class, call);
  }
}
