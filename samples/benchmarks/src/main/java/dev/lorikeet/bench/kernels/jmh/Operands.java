package dev.lorikeet.bench.kernels.jmh;

import dev.lorikeet.jlama.kernel.WeightMatrix;
import dev.lorikeet.tensor.ElementType;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.SplittableRandom;

/** Random operands. */
final class Operands {
  private static final float SIZE = 0.1f;

  private Operands() {}

  static MemorySegment floats(Arena arena, long count) {
    return elements(arena, ElementType.F32, count);
  }

  /** Returns weights of an element type, or of Q4. */
  static WeightMatrix matrix(Arena arena, String type, int rows, int columns) {
    long count = (long) rows * columns;
    if (!type.equals("Q4")) {
      ElementType element = ElementType.valueOf(type);
      return WeightMatrix.of(elements(arena, element, count), element, rows, columns);
    }
    MemorySegment nibbles = arena.allocate(count / 2, 64);
    nibbles.fill((byte) 0x5a);
    MemorySegment scales = floats(arena, count / WeightMatrix.Q4_BLOCK);
    return new WeightMatrix.Q4(nibbles, scales, rows, columns);
  }

  static MemorySegment elements(Arena arena, ElementType type, long count) {
    SplittableRandom random = new SplittableRandom(count);
    MemorySegment segment = arena.allocate(count * type.bytes(), 64);
    for (long i = 0; i < count; i++) {
      float value = (float) (random.nextDouble() * 2 - 1) * SIZE;
      type.write(segment, i * type.bytes(), value);
    }
    return segment;
  }
}
