package dev.lorikeet.jlama.kernel;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Random;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;

class ElementwiseTest {
  private final long seed = Long.getLong("lorikeet.seed", System.nanoTime());
  private final Random random = new Random(seed);

  /** An operation on one shard of x, with a second operand. */
  private interface Operation {
    void apply(Elementwise kernels, Rows x, Rows other, Shard shard);
  }

  private void twinsAgree(double relative, double absolute, Operation operation) {
    for (int round = 0; round < 60; round++) {
      int tokens = 1 + random.nextInt(6);
      int columns = 2 * (1 + random.nextInt(80));
      int gap = random.nextInt(4);
      try (Arena arena = Arena.ofConfined()) {
        Rows expected = RandomWeights.rows(arena, random, tokens, columns, gap);
        MemorySegment x = expected.segment();
        long floats = x.byteSize() / 4;
        for (long i = 0; i < floats; i += 3) {
          x.setAtIndex(ValueLayout.JAVA_FLOAT, i, x.getAtIndex(ValueLayout.JAVA_FLOAT, i) * 30);
        }
        Rows other = RandomWeights.rows(arena, random, tokens, columns, gap);
        Rows found = copy(arena, expected);
        split(shard -> operation.apply(new ScalarElementwise(), expected, other, shard));
        split(shard -> operation.apply(new VectorElementwise(), found, other, shard));
        for (long i = 0; i < floats; i++) {
          float e = x.getAtIndex(ValueLayout.JAVA_FLOAT, i);
          float f = found.segment().getAtIndex(ValueLayout.JAVA_FLOAT, i);
          assertEquals(e, f, Math.abs(e) * relative + absolute, () -> "seed " + seed);
        }
      }
    }
  }

  private static Rows copy(Arena arena, Rows x) {
    MemorySegment segment = arena.allocate(x.segment().byteSize(), 4).copyFrom(x.segment());
    return new Rows(segment, x.stride(), x.rows(), x.columns());
  }

  private void split(Consumer<Shard> shardTask) {
    int shards = 1 + random.nextInt(4);
    for (int shard = 0; shard < shards; shard++) {
      shardTask.accept(new Shard(shard, shards));
    }
  }

  @Test
  void rmsNormAgreesWithItsTwin() {
    twinsAgree(
        0x1p-20,
        0,
        (kernels, x, w, shard) -> kernels.rmsNorm(x, w.row(0), 1e-5f, x, x.rows(), shard));
  }

  @Test
  void rmsNormOfHeadsAgreesWithItsTwinAndWithTheNormOfARow() {
    for (int headDim : new int[] {1, 2, 6, 16, 64, 80}) {
      try (Arena arena = Arena.ofConfined()) {
        Rows x = RandomWeights.rows(arena, random, 4, 3 * headDim, 2);
        MemorySegment weight = RandomWeights.rows(arena, random, 1, headDim, 0).row(0);
        Rows scalar = copy(arena, x);
        Rows vector = copy(arena, x);
        split(shard -> new ScalarElementwise().rmsNormHeads(scalar, weight, 1e-5f, 4, shard));
        split(shard -> new VectorElementwise().rmsNormHeads(vector, weight, 1e-5f, 4, shard));
        for (int token = 0; token < 4; token++) {
          for (int head = 0; head < 3; head++) {
            Rows alone = Rows.allocate(arena, 1, headDim);
            for (int i = 0; i < headDim; i++) {
              alone.set(0, i, x.get(token, head * headDim + i));
            }
            new VectorElementwise().rmsNorm(alone, weight, 1e-5f, alone, 1, Shard.WHOLE);
            for (int i = 0; i < headDim; i++) {
              float found = vector.get(token, head * headDim + i);
              float twin = scalar.get(token, head * headDim + i);
              assertEquals(alone.get(0, i), found, 0, () -> "seed " + seed);
              assertEquals(twin, found, Math.abs(twin) * 0x1p-20, () -> "seed " + seed);
            }
          }
        }
      }
    }
  }

  @Test
  void rowsThatAreNoHeadsAreRefused() {
    try (Arena arena = Arena.ofConfined()) {
      Rows x = Rows.allocate(arena, 1, 10);
      MemorySegment weight = arena.allocate(16, 4);
      for (Elementwise kernels :
          new Elementwise[] {new VectorElementwise(), new ScalarElementwise()}) {
        assertThrows(
            IllegalArgumentException.class,
            () -> kernels.rmsNormHeads(x, weight, 1e-5f, 1, Shard.WHOLE));
      }
    }
  }

  @Test
  void sumsAgreeExactlyWithTheirTwin() {
    twinsAgree(0, 0, (kernels, x, o, shard) -> kernels.add(o, x, x.rows(), shard));
    twinsAgree(0, 0, (kernels, x, o, shard) -> kernels.addBias(o.row(0), x, x.rows(), shard));
    float factor = (float) random.nextGaussian();
    twinsAgree(0, 0, (kernels, x, o, shard) -> kernels.addScaled(o, factor, x, x.rows(), shard));
    twinsAgree(
        0,
        0,
        (kernels, x, o, shard) -> {
          for (int row = shard.first(x.rows()); row < shard.end(x.rows()); row++) {
            kernels.addAffine(o.row(0), o.row(x.rows() - 1), factor, x, row);
          }
        });
  }

  @Test
  void swiGluAgreesWithItsTwin() {
    twinsAgree(0x1p-21, 1e-35, (kernels, x, o, shard) -> kernels.swiGlu(x, o, x, x.rows(), shard));
  }

  @Test
  void ropeOfAPartOfAHeadLeavesTheRestAndIsTheRopeOfThatPart() {
    for (int half : new int[] {1, 3, 8, 20, 40}) {
      double[] inverse = random.doubles(half).toArray();
      int headDim = 2 * half + random.nextInt(40);
      try (Arena arena = Arena.ofConfined();
          RopeTable part = new RopeTable(inverse, 1.25, headDim);
          RopeTable whole = new RopeTable(inverse, 1.25)) {
        Rows x = RandomWeights.rows(arena, random, 4, 3 * headDim, 1);
        Rows rotated = Rows.allocate(arena, 4 * 3, 2 * half);
        for (int i = 0; i < 4 * 3 * 2 * half; i++) {
          int head = i / (2 * half);
          float value = x.get(head / 3, head % 3 * headDim + i % (2 * half));
          rotated.set(head, i % (2 * half), value);
        }
        new ScalarElementwise().rope(rotated, whole, head -> 11 * (head / 3), 12, Shard.WHOLE);
        for (Elementwise kernels :
            new Elementwise[] {new VectorElementwise(), new ScalarElementwise()}) {
          Rows y = copy(arena, x);
          split(shard -> kernels.rope(y, part, token -> 11 * token, 4, shard));
          for (int i = 0; i < 4 * 3 * headDim; i++) {
            int head = i / headDim;
            int element = i % headDim;
            float expected =
                element < 2 * half
                    ? rotated.get(head, element)
                    : x.get(head / 3, head % 3 * headDim + element);
            float found = y.get(head / 3, head % 3 * headDim + element);
            assertEquals(expected, found, 0, () -> "seed " + seed + " element " + element);
          }
        }
      }
    }
    assertThrows(IllegalArgumentException.class, () -> new RopeTable(new double[3], 1, 5));
  }

  @Test
  void ropeAgreesExactlyWithItsTwin() {
    for (int headDim : new int[] {2, 6, 16, 64, 80}) {
      double[] inverse = random.doubles(headDim / 2).toArray();
      try (Arena arena = Arena.ofConfined();
          RopeTable table = new RopeTable(inverse, 1.25)) {
        table.cover(700);
        Rows x = RandomWeights.rows(arena, random, 4, 3 * headDim, 0);
        Rows y = copy(arena, x);
        new ScalarElementwise().rope(x, table, token -> 699 - 70 * token, 4, Shard.WHOLE);
        split(shard -> new VectorElementwise().rope(y, table, token -> 699 - 70 * token, 4, shard));
        assertEquals(-1, x.segment().mismatch(y.segment()), () -> "seed " + seed);
      }
    }
  }

  @Test
  void ropeTurnsByTheAngleOfThePositionAndRefusesOthers() {
    try (Arena arena = Arena.ofConfined();
        RopeTable table = new RopeTable(new double[] {0.5, 0.01}, 2)) {
      table.cover(513);
      for (Elementwise kernels :
          new Elementwise[] {new VectorElementwise(), new ScalarElementwise()}) {
        Rows x = Rows.allocate(arena, 2, 4);
        x.set(1, 0, 1);
        x.set(1, 3, 1);
        kernels.rope(x, table, token -> 512 * token, 2, Shard.WHOLE);
        assertEquals(2 * Math.cos(256), x.get(1, 0), 1e-6);
        assertEquals(-2 * Math.sin(5.12), x.get(1, 1), 1e-6);
        assertEquals(2 * Math.sin(256), x.get(1, 2), 1e-6);
        assertEquals(2 * Math.cos(5.12), x.get(1, 3), 1e-6);
        for (int outside : new int[] {-1, 1024}) {
          assertThrows(
              IllegalArgumentException.class,
              () -> kernels.rope(x, table, token -> outside, 1, Shard.WHOLE));
        }
        Rows odd = Rows.allocate(arena, 1, 6);
        assertThrows(
            IllegalArgumentException.class,
            () -> kernels.rope(odd, table, token -> 0, 1, Shard.WHOLE));
      }
    }
  }

  @Test
  void softmaxAndArgmaxAgreeWithTheirTwins() {
    for (int columns = 1; columns < 120; columns++) {
      try (Arena arena = Arena.ofConfined()) {
        Rows x = RandomWeights.rows(arena, random, 2, columns, random.nextInt(3));
        for (int i = 0; i < columns; i++) {
          x.set(1, i, Math.round(8 * x.get(1, i)));
        }
        assertEquals(
            new ScalarElementwise().argmax(x, 1),
            new VectorElementwise().argmax(x, 1),
            () -> "seed " + seed);
        Rows y = copy(arena, x);
        new ScalarElementwise().softmax(x, 1);
        new VectorElementwise().softmax(y, 1);
        for (int i = 0; i < columns; i++) {
          float e = x.get(1, i);
          assertEquals(e, y.get(1, i), e * 0x1p-20, () -> "seed " + seed);
          assertEquals(x.get(0, i), y.get(0, i), () -> "seed " + seed);
        }
      }
    }
  }

  @Test
  void expIsWithinTwoUnitsInTheLastPlace() {
    try (Arena arena = Arena.ofConfined()) {
      int count = 12_801;
      MemorySegment x = arena.allocate(count * 4L, 64);
      for (int i = 0; i < count; i++) {
        x.setAtIndex(ValueLayout.JAVA_FLOAT, i, argument(i));
      }
      VectorElementwise.exp(x.address(), count, 0);
      double worst = 0;
      for (int i = 0; i < count; i++) {
        double exact = Math.exp(argument(i));
        worst =
            Math.max(
                worst,
                Math.abs(x.getAtIndex(ValueLayout.JAVA_FLOAT, i) - exact)
                    / Math.ulp((float) exact));
      }
      assertTrue(worst <= 2, "error of " + worst + " ulp");
      float[] special = {-100, Float.NEGATIVE_INFINITY, Float.NaN, Float.POSITIVE_INFINITY};
      MemorySegment.copy(special, 0, x, ValueLayout.JAVA_FLOAT, 0, 4);
      VectorElementwise.exp(x.address(), 16, 0);
      assertEquals(0, x.getAtIndex(ValueLayout.JAVA_FLOAT, 0));
      assertEquals(0, x.getAtIndex(ValueLayout.JAVA_FLOAT, 1));
      assertTrue(Float.isNaN(x.getAtIndex(ValueLayout.JAVA_FLOAT, 2)));
      assertTrue(x.getAtIndex(ValueLayout.JAVA_FLOAT, 3) > 2e38f);
    }
  }

  /** From -87.3 to 88.3. */
  private static float argument(int i) {
    return -87.3f + i * 0.01371f;
  }

  @Test
  void nansAndTiesOfArgmax() {
    try (Arena arena = Arena.ofConfined()) {
      Rows x = Rows.allocate(arena, 1, 40);
      for (Elementwise kernels :
          new Elementwise[] {new VectorElementwise(), new ScalarElementwise()}) {
        x.segment().fill((byte) 0xff);
        assertEquals(0, kernels.argmax(x, 0));
        x.set(0, 37, -5);
        x.set(0, 21, -5);
        assertEquals(21, kernels.argmax(x, 0));
      }
    }
  }
}
