package dev.lorikeet.jlama.kernel;

import dev.lorikeet.tensor.ElementType;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Random;

/** Random operands for tests. */
final class RandomWeights {
  private RandomWeights() {}

  static MemorySegment floats(Arena arena, Random random, long count) {
    MemorySegment segment = arena.allocate(Math.max(1, count) * 4, 64);
    for (long i = 0; i < count; i++) {
      segment.setAtIndex(ValueLayout.JAVA_FLOAT, i, (float) random.nextGaussian());
    }
    return segment;
  }

  /** Rows of random numbers, a gap of so many floats behind each. */
  static Rows rows(Arena arena, Random random, int rows, int columns, int gap) {
    MemorySegment segment = floats(arena, random, (long) rows * (columns + gap));
    return new Rows(segment, (columns + gap) * 4L, rows, columns);
  }

  /** The same memory: some of the rows, and the gaps behind them. */
  static Rows part(Rows all, int first, int count) {
    MemorySegment segment = all.segment().asSlice(first * all.stride(), count * all.stride());
    return new Rows(segment, all.stride(), count, all.columns());
  }

  static MemorySegment elements(Arena arena, Random random, ElementType type, long count) {
    MemorySegment segment =
        arena.allocate(count * type.bytes() + 1, 64).asSlice(0, count * type.bytes());
    for (long i = 0; i < count; i++) {
      type.write(segment, i * type.bytes(), (float) random.nextGaussian() * 0.1f);
    }
    return segment;
  }

  static WeightMatrix matrix(Arena arena, Random random, ElementType type, int rows, int columns) {
    return WeightMatrix.of(
        elements(arena, random, type, (long) rows * columns), type, rows, columns);
  }

  static WeightMatrix q4(Arena arena, Random random, int rows, int columns) {
    MemorySegment nibbles = arena.allocate((long) rows * columns / 2);
    byte[] bytes = new byte[rows * columns / 2];
    random.nextBytes(bytes);
    MemorySegment.copy(bytes, 0, nibbles, ValueLayout.JAVA_BYTE, 0, bytes.length);
    return new WeightMatrix.Q4(
        nibbles, floats(arena, random, (long) rows * columns / 32), rows, columns);
  }

  /** Blocks of random bytes, whose scales are finite and of all sizes, zeros and subnormals too. */
  static WeightMatrix blocks(
      Arena arena, Random random, BlockType type, int rows, int columns, double size) {
    long blocks = (long) rows * (columns / type.elements());
    byte[] bytes = new byte[Math.toIntExact(blocks * type.bytes())];
    random.nextBytes(bytes);
    MemorySegment segment = arena.allocate(bytes.length + 1, 64).asSlice(1, bytes.length);
    MemorySegment.copy(bytes, 0, segment, ValueLayout.JAVA_BYTE, 0, bytes.length);
    int[] scales =
        switch (type) {
          case Q8_0, Q5_0 -> new int[] {0};
          case Q4_K, Q5_K -> new int[] {0, 2};
          case Q6_K -> new int[] {208};
        };
    for (long block = 0; block < blocks; block++) {
      for (int at : scales) {
        float scale = (float) (random.nextGaussian() * size);
        ElementType.F16.write(segment, block * type.bytes() + at, scale);
      }
    }
    return new WeightMatrix.Blocks(segment, type, rows, columns);
  }
}
