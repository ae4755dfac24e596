package dev.lorikeet.jlama.kernel;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.files.safetensors.StoredType;
import dev.lorikeet.jlama.gguf.BlockDecoder;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Blocks of GGUF files against a decoder that goes through a block byte by byte, in float64. */
class BlockTypeTest {
  private final long seed = Long.getLong("lorikeet.seed", System.nanoTime());
  private final Random random = new Random(seed);

  @ParameterizedTest
  @EnumSource(BlockType.class)
  void elementsAreThoseThatTheFormatDefines(BlockType type) {
    try (Arena arena = Arena.ofConfined()) {
      int columns = 3 * type.elements();
      WeightMatrix weights = RandomWeights.blocks(arena, random, type, 5, columns, 1);
      for (int row = 0; row < 5; row++) {
        for (int block = 0; block < 3; block++) {
          double[] expected =
              BlockDecoder.decode(
                  StoredType.valueOf(type.name()), bytes(weights, row * 3L + block));
          for (int i = 0; i < type.elements(); i++) {
            float found = weights.get(row, block * type.elements() + i);
            assertEquals((float) expected[i] + 0f, found + 0f, "seed " + seed + ", element " + i);
          }
        }
      }
    }
  }

  /** Of all sizes of scales, from subnormal ones to the largest. */
  @ParameterizedTest
  @EnumSource(BlockType.class)
  void rowsAreWidenedAsTheyAreDefined(BlockType type) {
    for (int exponent = -24; exponent <= 12; exponent += 3) {
      try (Arena arena = Arena.ofConfined()) {
        int columns = (1 + random.nextInt(4)) * type.elements();
        double size = Math.scalb(1.0, exponent);
        WeightMatrix weights = RandomWeights.blocks(arena, random, type, 4, columns, size);
        MemorySegment wide = arena.allocate(columns * 4L, 64);
        for (int row = 0; row < 4; row++) {
          WeightTile.widen(weights, row, wide.address());
          checkWide(weights, row, 0, columns, wide);
          int first = 32 * random.nextInt(columns / 32);
          int count = 32 * (1 + random.nextInt((columns - first) / 32));
          WeightTile.widenPart(weights, row, 1, first, count, wide.address(), 0);
          checkWide(weights, row, first, count, wide);
        }
        WeightMatrix part = weights.slice(1, 2);
        assertEquals(weights.get(2, columns - 1), part.get(1, columns - 1));
      }
    }
  }

  private void checkWide(WeightMatrix weights, int row, int first, int count, MemorySegment wide) {
    for (int i = 0; i < count; i++) {
      long at = i / Lanes.BLOCK * Lanes.BLOCK_BYTES + WeightTile.place(i % Lanes.BLOCK);
      float found = wide.get(ValueLayout.JAVA_FLOAT, at);
      // Adding 0 makes -0 equal to 0.
      assertEquals(
          weights.get(row, first + i) + 0f, found + 0f, "seed " + seed + ", column " + (first + i));
    }
  }

  @Test
  void rowsOfPartsOfBlocksAreRefused() {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment memory = arena.allocate(1000);
      String message =
          String.valueOf(
              assertThrows(
                      IllegalArgumentException.class,
                      () -> new WeightMatrix.Blocks(memory, BlockType.Q4_K, 1, 128))
                  .getMessage());
      assertTrue(message.contains("multiple of 256, found 128"), message);
      assertThrows(
          IllegalArgumentException.class,
          () -> new WeightMatrix.Blocks(memory, BlockType.Q8_0, 1000, 32));
    }
  }

  private static byte[] bytes(WeightMatrix weights, long block) {
    WeightMatrix.Blocks blocks = (WeightMatrix.Blocks) weights;
    return blocks
        .segment()
        .asSlice(block * blocks.type().bytes(), blocks.type().bytes())
        .toArray(ValueLayout.JAVA_BYTE);
  }
}
