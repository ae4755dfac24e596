package dev.lorikeet.bench.kernels.jmh;

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
