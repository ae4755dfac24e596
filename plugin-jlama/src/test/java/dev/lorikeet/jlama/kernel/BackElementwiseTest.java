package dev.lorikeet.jlama.kernel;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Random;
import java.util.function.DoubleSupplier;
import org.junit.jupiter.api.Test;

class BackElementwiseTest {
  private static final float EPSILON = 1e-5f;

  private final long seed = Long.getLong("lorikeet.seed", System.nanoTime());
  private final Random random = new Random(seed);

  /** A gradient, of one shard: from x and a second operand in place. */
  private interface Gradient {
    void apply(BackElementwise kernels, Rows x, Rows other, Rows third, Shard shard);
  }

  private void twinsAgree(double tolerance, Gradient gradient) {
    for (int round = 0; round < 60; round++) {
      int tokens = 1 + random.nextInt(6);
      // Of a head of one or two elements nearly nothing but rounding is left of a gradient.
      int columns = 2 * (4 + random.nextInt(77));
      int gap = random.nextInt(4);
      try (Arena arena = Arena.ofConfined()) {
        Rows[] scalar = new Rows[3];
        Rows[] vector = new Rows[3];
        for (int i = 0; i < 3; i++) {
          scalar[i] = RandomWeights.rows(arena, random, tokens, columns, gap);
          MemorySegment memory = scalar[i].segment();
          MemorySegment copy = arena.allocate(memory.byteSize(), 64).copyFrom(memory);
          vector[i] = new Rows(copy, scalar[i].stride(), tokens, columns);
        }
        gradient.apply(new ScalarBackElementwise(), scalar[0], scalar[1], scalar[2], Shard.WHOLE);
        int shards = 1 + random.nextInt(3);
        for (int s = 0; s < shards; s++) {
          Shard shard = new Shard(s, shards);
          gradient.apply(new VectorBackElementwise(), vector[0], vector[1], vector[2], shard);
        }
        for (int i = 0; i < 3; i++) {
          for (int at = 0; at < tokens * columns; at++) {
            float expected = scalar[i].get(at / columns, at % columns);
            float found = vector[i].get(at / columns, at % columns);
            assertEquals(
                expected,
                found,
                tolerance * Math.max(1, Math.abs(expected)),
                () -> "seed " + seed + ", " + tokens + " tokens, " + columns + " columns");
          }
        }
      }
    }
  }

  private MemorySegment weight(int count) {
    Random values = new Random(count);
    return RandomWeights.floats(Arena.ofAuto(), values, count);
  }

  @Test
  void normsOfTheTwinsAgree() {
    twinsAgree(
        5e-6,
        (kernels, x, dy, dx, shard) ->
            kernels.addRmsNorm(x, weight(x.columns()), EPSILON, dy, dx, x.rows(), shard));
    twinsAgree(
        5e-6,
        (kernels, x, d, other, shard) ->
            kernels.rmsNormHeads(x, weight(x.columns() / 2), EPSILON, d, x.rows(), shard));
  }

  @Test
  void activationsOfTheTwinsAgree() {
    twinsAgree(
        2e-6, (kernels, dy, gate, up, shard) -> kernels.swiGlu(dy, gate, up, dy.rows(), shard));
  }

  @Test
  void rotatingBackTakesARotationBack() {
    for (BackElementwise kernels :
        new BackElementwise[] {new ScalarBackElementwise(), new VectorBackElementwise()}) {
      int half = 1 + random.nextInt(70);
      double[] inverse = random.doubles(half).toArray();
      try (Arena arena = Arena.ofConfined();
          RopeTable table = new RopeTable(inverse, 1, 2 * half + random.nextInt(20))) {
        Rows x = RandomWeights.rows(arena, random, 5, 3 * table.headDim(), 1);
        MemorySegment before = arena.allocate(x.segment().byteSize()).copyFrom(x.segment());
        new ScalarElementwise().rope(x, table, t -> 11 * t, 5, Shard.WHOLE);
        kernels.rope(x, table, t -> 11 * t, 5, new Shard(0, 2));
        kernels.rope(x, table, t -> 11 * t, 5, new Shard(1, 2));
        for (long i = 0; i < before.byteSize(); i += 4) {
          assertEquals(
              before.get(ValueLayout.JAVA_FLOAT, i),
              x.segment().get(ValueLayout.JAVA_FLOAT, i),
              2e-6f,
              "seed " + seed);
        }
      }
    }
  }

  @Test
  void gradientsAreFiniteDifferences() {
    int n = 12;
    try (Arena arena = Arena.ofConfined()) {
      Rows x = RandomWeights.rows(arena, random, 1, n, 0);
      Rows dy = RandomWeights.rows(arena, random, 1, n, 0);
      Rows up = RandomWeights.rows(arena, random, 1, n, 0);
      MemorySegment weight = weight(n);
      Rows dx = Rows.allocate(arena, 1, n);
      new ScalarBackElementwise().addRmsNorm(x, weight, EPSILON, dy, dx, 1, Shard.WHOLE);
      for (int i = 0; i < n; i++) {
        int at = i;
        double difference =
            difference(
                x,
                i,
                () -> {
                  double squares = 0;
                  double sum = 0;
                  for (int j = 0; j < n; j++) {
                    squares += (double) x.get(0, j) * x.get(0, j);
                    sum +=
                        (double) x.get(0, j)
                            * dy.get(0, j)
                            * weight.getAtIndex(ValueLayout.JAVA_FLOAT, j);
                  }
                  return sum / Math.sqrt(squares / n + EPSILON);
                });
        assertEquals(difference, dx.get(0, i), 1e-3, () -> "seed " + seed + " norm " + at);
      }
      Rows dGate = Rows.allocate(arena, 1, n);
      Rows dUp = Rows.allocate(arena, 1, n);
      x.copyRow(0, dGate, 0);
      up.copyRow(0, dUp, 0);
      new ScalarBackElementwise().swiGlu(dy, dGate, dUp, 1, Shard.WHOLE);
      for (int i = 0; i < n; i++) {
        int at = i;
        double byGate = difference(x, i, () -> swiGlu(x, up, dy, at));
        double byUp = difference(up, i, () -> swiGlu(x, up, dy, at));
        assertEquals(byGate, dGate.get(0, i), 1e-3, "seed " + seed);
        assertEquals(byUp, dUp.get(0, i), 1e-3, "seed " + seed);
      }
    }
  }

  private static double swiGlu(Rows gate, Rows up, Rows dy, int i) {
    double g = gate.get(0, i);
    return g / (1 + Math.exp(-g)) * up.get(0, i) * dy.get(0, i);
  }

  private static double difference(Rows x, int i, DoubleSupplier loss) {
    float before = x.get(0, i);
    float step = 0x1p-8f;
    x.set(0, i, before + step);
    double above = loss.getAsDouble();
    x.set(0, i, before - step);
    double below = loss.getAsDouble();
    x.set(0, i, before);
    return (above - below) / (2 * step);
  }
}
