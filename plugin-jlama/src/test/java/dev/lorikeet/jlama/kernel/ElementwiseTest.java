package dev.lorikeet.jlama.kernel;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Random;
import java.util.function.BiConsumer;
import org.junit.jupiter.api.Test;

class ElementwiseTest {
  private final long seed = Long.getLong("lorikeet.seed", System.nanoTime());
  private final Random random = new Random(seed);

  /** An operation on one shard of x, with a second operand. */
  private interface Operation {
    void apply(
        Elementwise kernels,
        MemorySegment x,
        long stride,
        MemorySegment other,
        int tokens,
        int columns,
        int shard,
        int shards);
  }

  private void twinsAgree(double relative, double absolute, Operation operation) {
    for (int round = 0; round < 60; round++) {
      int tokens = 1 + random.nextInt(6);
      int columns = 2 * (1 + random.nextInt(80));
      long stride = (columns + random.nextInt(4)) * 4L;
      try (Arena arena = Arena.ofConfined()) {
        MemorySegment x = RandomWeights.floats(arena, random, tokens * stride / 4);
        for (long i = 0; i < tokens * stride / 4; i += 3) {
          x.setAtIndex(ValueLayout.JAVA_FLOAT, i, x.getAtIndex(ValueLayout.JAVA_FLOAT, i) * 30);
        }
        MemorySegment other = RandomWeights.floats(arena, random, tokens * stride / 4);
        MemorySegment expected = arena.allocate(x.byteSize()).copyFrom(x);
        MemorySegment found = arena.allocate(x.byteSize()).copyFrom(x);
        split(
            (s, n) ->
                operation.apply(
                    new ScalarElementwise(), expected, stride, other, tokens, columns, s, n));
        split(
            (s, n) ->
                operation.apply(
                    new VectorElementwise(), found, stride, other, tokens, columns, s, n));
        for (long i = 0; i < tokens * stride / 4; i++) {
          float e = expected.getAtIndex(ValueLayout.JAVA_FLOAT, i);
          float f = found.getAtIndex(ValueLayout.JAVA_FLOAT, i);
          assertEquals(e, f, Math.abs(e) * relative + absolute, () -> "seed " + seed);
        }
      }
    }
  }

  private void split(BiConsumer<Integer, Integer> shardTask) {
    int shards = 1 + random.nextInt(4);
    for (int shard = 0; shard < shards; shard++) {
      shardTask.accept(shard, shards);
    }
  }

  @Test
  void rmsNormAgreesWithItsTwin() {
    twinsAgree(
        0x1p-20,
        0,
        (kernels, x, stride, w, tokens, columns, shard, shards) ->
            kernels.rmsNorm(x, stride, w, 1e-5f, x, stride, tokens, columns, shard, shards));
  }

  @Test
  void sumsAgreeExactlyWithTheirTwin() {
    twinsAgree(
        0,
        0,
        (kernels, x, stride, o, tokens, columns, shard, shards) ->
            kernels.add(o, stride, x, stride, tokens, columns, shard, shards));
    twinsAgree(
        0,
        0,
        (kernels, x, stride, o, tokens, columns, shard, shards) ->
            kernels.addBias(o, x, stride, tokens, columns, shard, shards));
  }

  @Test
  void swiGluAgreesWithItsTwin() {
    twinsAgree(
        0x1p-21,
        1e-35,
        (kernels, x, stride, o, tokens, columns, shard, shards) ->
            kernels.swiGlu(x, stride, o, stride, x, stride, tokens, columns, shard, shards));
  }

  @Test
  void ropeAgreesExactlyWithItsTwin() {
    for (int headDim : new int[] {2, 6, 16, 64, 80}) {
      try (Arena arena = Arena.ofConfined()) {
        MemorySegment cos = RandomWeights.floats(arena, random, 50L * headDim / 2);
        MemorySegment sin = RandomWeights.floats(arena, random, 50L * headDim / 2);
        MemorySegment x = RandomWeights.floats(arena, random, 4L * 3 * headDim);
        MemorySegment y = arena.allocate(x.byteSize()).copyFrom(x);
        long stride = 3L * headDim * 4;
        new ScalarElementwise()
            .rope(x, stride, 3, headDim, cos, sin, token -> 49 - 7 * token, 4, 0, 1);
        split(
            (s, n) ->
                new VectorElementwise()
                    .rope(y, stride, 3, headDim, cos, sin, token -> 49 - 7 * token, 4, s, n));
        assertEquals(-1, x.mismatch(y), () -> "seed " + seed);
      }
    }
  }

  @Test
  void softmaxAndArgmaxAgreeWithTheirTwins() {
    for (int columns = 1; columns < 120; columns++) {
      try (Arena arena = Arena.ofConfined()) {
        MemorySegment x = RandomWeights.floats(arena, random, columns);
        for (int i = 0; i < columns; i++) {
          x.setAtIndex(
              ValueLayout.JAVA_FLOAT, i, Math.round(8 * x.getAtIndex(ValueLayout.JAVA_FLOAT, i)));
        }
        assertEquals(
            new ScalarElementwise().argmax(x, columns),
            new VectorElementwise().argmax(x, columns),
            () -> "seed " + seed);
        MemorySegment y = arena.allocate(x.byteSize()).copyFrom(x);
        new ScalarElementwise().softmax(x, columns);
        new VectorElementwise().softmax(y, columns);
        for (int i = 0; i < columns; i++) {
          float e = x.getAtIndex(ValueLayout.JAVA_FLOAT, i);
          assertEquals(
              e, y.getAtIndex(ValueLayout.JAVA_FLOAT, i), e * 0x1p-20, () -> "seed " + seed);
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
      MemorySegment x = arena.allocate(40 * 4L);
      for (Elementwise kernels :
          new Elementwise[] {new VectorElementwise(), new ScalarElementwise()}) {
        x.fill((byte) 0xff);
        assertEquals(0, kernels.argmax(x, 40));
        x.setAtIndex(ValueLayout.JAVA_FLOAT, 37, -5);
        x.setAtIndex(ValueLayout.JAVA_FLOAT, 21, -5);
        assertEquals(21, kernels.argmax(x, 40));
      }
    }
  }
}
