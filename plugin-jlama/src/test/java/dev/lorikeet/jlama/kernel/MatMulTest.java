package dev.lorikeet.jlama.kernel;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.tensor.ElementType;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.management.ManagementFactory;
import java.util.Random;
import org.junit.jupiter.api.Test;

class MatMulTest {
  private static final int[] TOKENS = {1, 2, 3, 4, 5, 7, 8, 9, 13, 16, 17, 37};
  private final long seed = Long.getLong("lorikeet.seed", System.nanoTime());
  private final Random random = new Random(seed);

  @Test
  void productsAgreeWithFloat64ForEveryTypeAndRaggedShapes() {
    for (int round = 0; round < 40; round++) {
      int rows = 1 + random.nextInt(70);
      int columns = random.nextBoolean() ? 32 * (1 + random.nextInt(6)) : 1 + random.nextInt(150);
      int tokens = TOKENS[random.nextInt(TOKENS.length)];
      int shards = 1 + random.nextInt(4);
      try (Arena arena = Arena.ofConfined()) {
        for (WeightMatrix weights : everyType(arena, rows, columns)) {
          checkAgainstFloat64(new VectorMatMul(), arena, weights, tokens, shards);
          checkAgainstFloat64(new ScalarMatMul(), arena, weights, tokens, shards);
        }
      }
    }
  }

  private WeightMatrix[] everyType(Arena arena, int rows, int columns) {
    return new WeightMatrix[] {
      RandomWeights.matrix(arena, random, ElementType.BF16, rows, columns),
      RandomWeights.matrix(arena, random, ElementType.F16, rows, columns),
      RandomWeights.matrix(arena, random, ElementType.F32, rows, columns),
      RandomWeights.q4(arena, random, rows, (int) ActivationPanel.roundUp(columns, 32)),
      blocks(arena, BlockType.Q8_0, rows, columns),
      blocks(arena, BlockType.Q5_0, rows, columns),
      blocks(arena, BlockType.Q4_K, rows, columns),
      blocks(arena, BlockType.Q5_K, rows, columns),
      blocks(arena, BlockType.Q6_K, rows, columns)
    };
  }

  private WeightMatrix blocks(Arena arena, BlockType type, int rows, int columns) {
    int whole = (int) ActivationPanel.roundUp(columns, type.elements());
    return RandomWeights.blocks(arena, random, type, rows, whole, 0.01);
  }

  private void checkAgainstFloat64(
      MatMul matMul, Arena arena, WeightMatrix weights, int tokens, int shards) {
    int columns = weights.columns();
    Rows x = RandomWeights.rows(arena, random, tokens, columns, random.nextInt(5));
    Rows y = RandomWeights.rows(arena, random, tokens, weights.rows(), random.nextInt(5));
    fillNaN(y.segment());
    product(matMul, weights, x, y, shards);
    for (int token = 0; token < tokens; token++) {
      for (int row = 0; row < weights.rows(); row++) {
        double sum = 0;
        double magnitude = 0;
        for (int column = 0; column < columns; column++) {
          double term = (double) weights.get(row, column) * x.get(token, column);
          sum += term;
          magnitude += Math.abs(term);
        }
        float found = y.get(token, row);
        double expected = sum;
        double bound = magnitude * (columns / 4 + 8) * 0x1p-24 + 0x1p-126;
        assertTrue(
            Math.abs(found - sum) <= bound,
            () ->
                "seed "
                    + seed
                    + " "
                    + matMul
                    + " "
                    + weights
                    + " tokens "
                    + tokens
                    + ": expected "
                    + expected
                    + ", found "
                    + found);
      }
      for (int gap = weights.rows(); gap < y.stride() / 4; gap++) {
        assertTrue(Float.isNaN(y.get(token, gap)), () -> "seed " + seed + ": wrote between rows");
      }
    }
  }

  @Test
  void everyF16WeightCountsAsItIs() {
    int rows = 1 << 16;
    int columns = 32;
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment one = arena.allocate((long) rows * columns * 2);
      for (int row = 0; row < rows; row++) {
        one.set(ValueLayout.JAVA_SHORT, 2L * (row * columns + row % columns), (short) row);
      }
      WeightMatrix weights = WeightMatrix.of(one, ElementType.F16, rows, columns);
      for (int tokens : new int[] {1, 2, 4, 5, 17}) {
        Rows x = Rows.allocate(arena, tokens, columns);
        for (int i = 0; i < tokens * columns; i++) {
          x.set(i / columns, i % columns, 1);
        }
        Rows y = Rows.allocate(arena, tokens, rows);
        product(new VectorMatMul(), weights, x, y, 2);
        for (int i = 0; i < tokens * rows; i++) {
          int bits = i % rows;
          // Adding 0 makes -0 equal to 0.
          assertEquals(
              Float.float16ToFloat((short) bits) + 0f,
              y.get(i / rows, bits),
              () -> Integer.toHexString(bits) + ", " + tokens + " tokens");
        }
      }
    }
  }

  @Test
  void subnormalF16WeightsAgreeWithFloat64() {
    for (int tokens : TOKENS) {
      try (Arena arena = Arena.ofConfined()) {
        MemorySegment small = arena.allocate(70 * 96 * 2);
        for (int i = 0; i < 70 * 96; i++) {
          float value = (float) random.nextGaussian() * 0x1p-15f;
          ElementType.F16.write(small, 2L * i, value);
        }
        WeightMatrix weights = WeightMatrix.of(small, ElementType.F16, 70, 96);
        checkAgainstFloat64(new VectorMatMul(), arena, weights, tokens, 1 + random.nextInt(3));
      }
    }
  }

  @Test
  void everyQ4ScaleCountsAsItIs() {
    float[] scales = {0, -0f, 1, -0.3f, 0x1p-140f, 0x1p118f, 1 / 0f, -1 / 0f, 0 / 0f};
    int rows = 16 * scales.length;
    try (Arena arena = Arena.ofConfined()) {
      // A row has two blocks: element 5 of the first and 22 of the second differ from the rest.
      MemorySegment nibbles = arena.allocate(rows * 32L);
      nibbles.fill((byte) 0x99);
      MemorySegment factors = arena.allocate(rows * 8L);
      for (int row = 0; row < rows; row++) {
        int nibble = row % 16;
        nibbles.set(ValueLayout.JAVA_BYTE, row * 32L + 5, (byte) (0x90 | nibble));
        nibbles.set(ValueLayout.JAVA_BYTE, row * 32L + 16 + 6, (byte) (nibble << 4 | 9));
        factors.set(ValueLayout.JAVA_FLOAT, row * 8L, scales[row / 16]);
        factors.set(ValueLayout.JAVA_FLOAT, row * 8L + 4, scales[row / 16]);
      }
      WeightMatrix weights = new WeightMatrix.Q4(nibbles, factors, rows, 64);
      for (int tokens : new int[] {1, 2, 4, 5, 17}) {
        Rows x = Rows.allocate(arena, tokens, 64);
        for (int i = 0; i < tokens * 64; i++) {
          x.set(i / 64, i % 64, i % 64 == 32 + 22 ? 0.5f : 1);
        }
        Rows y = Rows.allocate(arena, tokens, rows);
        Rows twin = Rows.allocate(arena, tokens, rows);
        product(new VectorMatMul(), weights, x, y, 2);
        product(new ScalarMatMul(), weights, x, twin, 1);
        for (int i = 0; i < tokens * rows; i++) {
          int row = i % rows;
          float expected = twin.get(i / rows, row) + 0f;
          assertEquals(
              expected,
              y.get(i / rows, row),
              (Float.isFinite(expected) ? Math.abs(expected) * 0x1p-18f : 0) + Float.MIN_VALUE,
              () -> "scale " + scales[row / 16] + ", nibble " + row % 16 + ", " + tokens);
        }
      }
    }
  }

  @Test
  void aTokensResultDoesNotDependOnTheBatchOrTheShards() {
    for (int round = 0; round < 20; round++) {
      int rows = 1 + random.nextInt(70);
      int columns = random.nextBoolean() ? 32 * (1 + random.nextInt(6)) : 1 + random.nextInt(150);
      try (Arena arena = Arena.ofConfined()) {
        for (WeightMatrix weights : everyType(arena, rows, columns)) {
          int width = weights.columns();
          int most = 37;
          Rows x = RandomWeights.rows(arena, random, most, width, 0);
          Rows alone = Rows.dense(arena.allocate((long) most * rows * 4), most, rows);
          for (int token = 0; token < most; token++) {
            product(
                new VectorMatMul(),
                weights,
                RandomWeights.part(x, token, 1),
                RandomWeights.part(alone, token, 1),
                1);
          }
          int tokens = TOKENS[random.nextInt(TOKENS.length)];
          int first = random.nextInt(most - tokens + 1);
          Rows together = Rows.dense(arena.allocate((long) tokens * rows * 4), tokens, rows);
          int shards = 1 + random.nextInt(4);
          product(
              new VectorMatMul(), weights, RandomWeights.part(x, first, tokens), together, shards);
          assertEquals(
              -1,
              together.segment().mismatch(RandomWeights.part(alone, first, tokens).segment()),
              () -> "seed " + seed + " " + weights);
          Rows oneByOne = Rows.dense(arena.allocate((long) tokens * rows * 4), tokens, rows);
          product(
              new VectorMatMul(),
              weights,
              RandomWeights.part(x, first, tokens),
              oneByOne,
              shards,
              true);
          assertEquals(
              -1,
              oneByOne.segment().mismatch(together.segment()),
              () -> "seed " + seed + ", one token at a time, " + weights);
        }
      }
    }
  }

  @Test
  void everyF16AndBf16ValueIsWidenedExactly() {
    try (Arena arena = Arena.ofConfined()) {
      int columns = 1 << 16;
      MemorySegment all = arena.allocate(columns * 2L);
      for (int i = 0; i < columns; i++) {
        all.setAtIndex(ValueLayout.JAVA_SHORT, i, (short) i);
      }
      MemorySegment wide = arena.allocate(columns * 4L);
      for (ElementType type : new ElementType[] {ElementType.F16, ElementType.BF16}) {
        WeightMatrix weights = WeightMatrix.of(all, type, 1, columns);
        WeightTile.widen(weights, 0, wide.address());
        for (int i = 0; i < columns; i++) {
          float expected = weights.get(0, i);
          float found =
              wide.get(
                  ValueLayout.JAVA_FLOAT,
                  i / Lanes.BLOCK * Lanes.BLOCK_BYTES + WeightTile.place(i % Lanes.BLOCK));
          int bits = i;
          if (Float.isNaN(expected)) {
            assertTrue(Float.isNaN(found), () -> type + " " + Integer.toHexString(bits));
          } else {
            assertEquals(
                Float.floatToRawIntBits(expected),
                Float.floatToRawIntBits(found),
                () -> type + " " + Integer.toHexString(bits));
          }
        }
      }
    }
  }

  @Test
  void q4IsWidenedAsItIsDefined() {
    try (Arena arena = Arena.ofConfined()) {
      WeightMatrix weights = RandomWeights.q4(arena, random, 7, 192);
      MemorySegment wide = arena.allocate(192 * 4L);
      for (int row = 0; row < 7; row++) {
        WeightTile.widen(weights, row, wide.address());
        for (int i = 0; i < 192; i++) {
          float found =
              wide.get(
                  ValueLayout.JAVA_FLOAT,
                  i / Lanes.BLOCK * Lanes.BLOCK_BYTES + WeightTile.place(i % Lanes.BLOCK));
          // Adding 0 makes -0 equal to 0.
          assertEquals(weights.get(row, i) + 0f, found + 0f, () -> "seed " + seed);
        }
      }
    }
  }

  @Test
  void aWarmProductAllocatesNothing() {
    var threads = (com.sun.management.ThreadMXBean) ManagementFactory.getThreadMXBean();
    try (Arena arena = Arena.ofConfined();
        ActivationPanel panel = new ActivationPanel(20, 256, 1)) {
      MatMul matMul = new VectorMatMul();
      for (WeightMatrix weights : everyType(arena, 48, 64)) {
        Rows x = RandomWeights.rows(arena, random, 20, weights.columns(), 0);
        Rows y = Rows.allocate(arena, 20, 48);
        long bytesPerCall = Long.MAX_VALUE;
        for (int attempt = 0; attempt < 600 && bytesPerCall >= 16; attempt++) {
          int calls = 500;
          long before = threads.getCurrentThreadAllocatedBytes();
          for (int call = 0; call < calls; call++) {
            int tokens = 1 + call % 20;
            matMul.pack(panel, x, tokens, Shard.WHOLE);
            matMul.multiply(weights, panel, y, Shard.WHOLE);
          }
          bytesPerCall = (threads.getCurrentThreadAllocatedBytes() - before) / calls;
        }
        assertTrue(bytesPerCall < 16, "allocated " + bytesPerCall + " bytes per call, " + weights);
      }
    }
  }

  @Test
  void operandsThatDoNotFitAreRefusedByName() {
    try (Arena arena = Arena.ofConfined();
        ActivationPanel panel = new ActivationPanel(4, 64, 1)) {
      for (MatMul matMul : new MatMul[] {new VectorMatMul(), new ScalarMatMul()}) {
        WeightMatrix weights = RandomWeights.matrix(arena, random, ElementType.F32, 8, 32);
        Rows x = Rows.allocate(arena, 3, 64);
        Rows narrow = Rows.allocate(arena, 4, 32);
        Rows y = Rows.allocate(arena, 4, 8);
        assertRefused("x:", () -> matMul.pack(panel, x, 4, Shard.WHOLE));
        assertRefused("activation panel", () -> matMul.pack(panel, narrow, 5, Shard.WHOLE));
        matMul.pack(panel, x, 2, Shard.WHOLE);
        assertRefused("columns", () -> matMul.multiply(weights, panel, y, Shard.WHOLE));
        matMul.pack(panel, narrow, 2, Shard.WHOLE);
        assertRefused("y:", () -> matMul.multiply(weights, panel, narrow, Shard.WHOLE));
        assertRefused(
            "y:", () -> matMul.multiply(weights, panel, RandomWeights.part(y, 0, 1), Shard.WHOLE));
      }
      assertRefused("rows:", () -> Rows.dense(arena.allocate(4 * 64 * 4L).asSlice(4), 4, 64));
      assertRefused("stride", () -> new Rows(arena.allocate(256), 60, 2, 16));
      assertRefused("heap", () -> Rows.dense(MemorySegment.ofArray(new float[64]), 1, 64));
      assertRefused("shard", () -> new Shard(2, 2));
      assertRefused("weights", () -> WeightMatrix.of(arena.allocate(63), ElementType.BF16, 1, 32));
      assertRefused(
          "multiple of 32",
          () -> new WeightMatrix.Q4(arena.allocate(64), arena.allocate(64), 1, 33));
    }
  }

  private static void assertRefused(String word, Runnable call) {
    IllegalArgumentException e = assertThrows(IllegalArgumentException.class, call::run);
    assertTrue(String.valueOf(e.getMessage()).contains(word), e::getMessage);
  }

  private static void product(MatMul matMul, WeightMatrix weights, Rows x, Rows y, int shards) {
    product(matMul, weights, x, y, shards, false);
  }

  private static void product(
      MatMul matMul, WeightMatrix weights, Rows x, Rows y, int shards, boolean narrow) {
    try (ActivationPanel panel = new ActivationPanel(x.rows(), weights.columns(), shards)) {
      panel.narrow(narrow);
      for (int shard = 0; shard < shards; shard++) {
        matMul.pack(panel, x, x.rows(), new Shard(shard, shards));
      }
      for (int shard = 0; shard < shards; shard++) {
        matMul.multiply(weights, panel, y, new Shard(shard, shards));
      }
    }
  }

  private static void fillNaN(MemorySegment segment) {
    for (long i = 0; i < segment.byteSize() / 4; i++) {
      segment.setAtIndex(ValueLayout.JAVA_FLOAT, i, Float.NaN);
    }
  }
}
