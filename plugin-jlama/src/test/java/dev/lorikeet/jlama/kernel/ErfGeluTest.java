package dev.lorikeet.jlama.kernel;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.math.BigDecimal;
import java.math.MathContext;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

/** GELU with an error function: in float64 against decimals, and both twins against float64. */
class ErfGeluTest {
  private static final List<Elementwise> TWINS =
      List.of(new ScalarElementwise(), new VectorElementwise());
  private static final MathContext DIGITS = new MathContext(90);
  private static final BigDecimal ROOT_PI =
      new BigDecimal("3.14159265358979323846264338327950288419716939937510582097494459230781640629")
          .sqrt(DIGITS);

  private final long seed = Long.getLong("lorikeet.seed", new Random().nextLong());
  private final Random random = new Random(seed);

  /** The complement by the Taylor series of the error function, in decimals. */
  private static double complement(double x) {
    BigDecimal z = new BigDecimal(x);
    BigDecimal square = z.multiply(z, DIGITS);
    BigDecimal power = z;
    BigDecimal sum = z;
    for (int n = 1; power.abs().compareTo(new BigDecimal("1e-75")) > 0; n++) {
      power = power.multiply(square, DIGITS).divide(BigDecimal.valueOf(-n), DIGITS);
      sum = sum.add(power.divide(BigDecimal.valueOf(2L * n + 1), DIGITS), DIGITS);
    }
    BigDecimal erf = sum.multiply(BigDecimal.TWO).divide(ROOT_PI, DIGITS);
    return BigDecimal.ONE.subtract(erf, DIGITS).doubleValue();
  }

  @Test
  void theErrorFunctionIsThatOfDecimals() {
    for (double x = -6; x < 7.5; x += 0.0493) {
      double expected = complement(x);
      assertEquals(expected, Erf.complement(x), 1e-13 * expected, "at " + x);
    }
    assertEquals(1, Erf.complement(0), 0);
    assertEquals(0, Erf.complement(Double.POSITIVE_INFINITY), 0);
    assertEquals(2, Erf.complement(Double.NEGATIVE_INFINITY), 0);
  }

  private static double gelu(double x) {
    return x / 2 * Erf.complement(-x / Math.sqrt(2));
  }

  @Test
  void bothTwinsAreThatOfFloat64AndTheirProductsTheirs() {
    for (int round = 0; round < 80; round++) {
      int tokens = 1 + random.nextInt(5);
      int columns = 1 + random.nextInt(150);
      try (Arena arena = Arena.ofConfined()) {
        Rows x = RandomWeights.rows(arena, random, tokens, columns, random.nextInt(4));
        for (int i = 0; i < tokens * columns; i += 3) {
          x.set(i / columns, i % columns, 8 * x.get(i / columns, i % columns));
        }
        Rows up = RandomWeights.rows(arena, random, tokens, columns, random.nextInt(4));
        int shards = 1 + random.nextInt(4);
        for (Elementwise kernels : TWINS) {
          Rows gelu = Rows.allocate(arena, tokens, columns);
          Rows product = Rows.allocate(arena, tokens, columns);
          Rows inPlace = Rows.allocate(arena, tokens, columns);
          for (int i = 0; i < tokens * columns; i++) {
            inPlace.set(i / columns, i % columns, x.get(i / columns, i % columns));
          }
          for (int s = 0; s < shards; s++) {
            Shard shard = new Shard(s, shards);
            kernels.erfGelu(x, gelu, tokens, shard);
            kernels.erfGeGlu(x, up, product, tokens, shard);
            kernels.erfGeGlu(inPlace, up, inPlace, tokens, shard);
          }
          for (int i = 0; i < tokens * columns; i++) {
            int token = i / columns;
            int at = i % columns;
            float v = x.get(token, at);
            float found = gelu.get(token, at);
            assertEquals(gelu(v), found, 0x1p-22 * Math.abs(v), () -> "seed " + seed + " x " + v);
            float expected = found * up.get(token, at);
            assertEquals(expected, product.get(token, at), 0, () -> "seed " + seed);
            assertEquals(expected, inPlace.get(token, at), 0, () -> "seed " + seed);
          }
        }
      }
    }
  }

  @Test
  void errorsStayBelowTheirBounds() {
    int count = 1 << 18;
    try (Arena arena = Arena.ofConfined()) {
      Rows rows = Rows.allocate(arena, 1, count);
      float[] x = new float[count];
      for (int i = 0; i < count; i++) {
        // Of all magnitudes from 2^-20 to 2^7, and of both signs.
        x[i] = (float) ((i % 2 * 2 - 1) * Math.pow(2, -20 + 27.0 * i / count));
        rows.set(0, i, x[i]);
      }
      new VectorElementwise().erfGelu(rows, rows, 1, Shard.WHOLE);
      double ofX = 0;
      double ofResult = 0;
      for (int i = 0; i < count; i++) {
        double expected = gelu(x[i]);
        double error = Math.abs(rows.get(0, i) - expected);
        ofX = Math.max(ofX, error / Math.abs(x[i]));
        if (x[i] > -13) {
          ofResult = Math.max(ofResult, error / Math.abs(expected));
        }
      }
      System.out.println(
          "ErfGeluTest: error 2^" + log2(ofX) + " of x, 2^" + log2(ofResult) + " of the result");
      assertTrue(ofX < 0x1p-22, "error of " + ofX + " of x");
      assertTrue(ofResult < 0x1p-20, "error of " + ofResult + " of the result");
    }
  }

  private static double log2(double value) {
    return Math.log(value) / Math.log(2);
  }

  @Test
  void largeAndUndefinedValuesNeitherOverflowNorSpread() {
    float infinite = Float.POSITIVE_INFINITY;
    float[] x = {1e4f, -1e4f, 1e19f, -1e19f, 3e38f, -3e38f, 0x1p127f, -14, -20, 0, -0f, 1e-40f};
    for (Elementwise kernels : TWINS) {
      for (int columns : new int[] {3, 48}) {
        try (Arena arena = Arena.ofConfined()) {
          Rows row = Rows.allocate(arena, 1, columns);
          for (float value : x) {
            row.segment().fill((byte) 0);
            fill(row, value);
            kernels.erfGelu(row, row, 1, Shard.WHOLE);
            double expected = Math.abs(value) < 1 ? value / 2 : Math.max(0, value);
            for (int i = 0; i < columns; i++) {
              assertEquals(expected, row.get(0, i), 1e-38, "of " + value);
            }
          }
          fill(row, 1);
          row.set(0, 0, infinite);
          row.set(0, 1, -infinite);
          row.set(0, 2, Float.NaN);
          kernels.erfGelu(row, row, 1, Shard.WHOLE);
          assertEquals(infinite, row.get(0, 0));
          assertEquals(0, row.get(0, 1), 0);
          assertTrue(Float.isNaN(row.get(0, 2)));
          for (int i = 3; i < columns; i++) {
            assertEquals(0.8413447, row.get(0, i), 1e-7);
          }
        }
      }
    }
  }

  private static void fill(Rows row, float value) {
    for (int i = 0; i < row.columns(); i++) {
      row.set(0, i, value);
    }
  }

  @Test
  void operandsThatDoNotFitAreRefused() {
    try (Arena arena = Arena.ofConfined()) {
      Rows x = Rows.allocate(arena, 2, 12);
      Rows narrow = Rows.allocate(arena, 2, 11);
      MemorySegment before = arena.allocate(8).copyFrom(x.segment().asSlice(0, 8));
      for (Elementwise kernels : TWINS) {
        for (org.junit.jupiter.api.function.Executable call :
            List.<org.junit.jupiter.api.function.Executable>of(
                () -> kernels.erfGelu(x, narrow, 2, Shard.WHOLE),
                () -> kernels.erfGeGlu(x, narrow, x, 2, Shard.WHOLE),
                () -> kernels.erfGelu(x, x, 3, Shard.WHOLE))) {
          assertThrows(IllegalArgumentException.class, call);
        }
      }
      assertEquals(
          before.get(ValueLayout.JAVA_LONG, 0),
          x.segment().get(ValueLayout.JAVA_LONG_UNALIGNED, 0));
    }
  }
}
