package dev.lorikeet.bench.kernels.jmh;

import dev.lorikeet.tensor.ElementType;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
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
      switch (type) {
        case F32 -> segment.setAtIndex(ValueLayout.JAVA_FLOAT, i, value);
        case F16 -> segment.setAtIndex(ValueLayout.JAVA_SHORT, i, Float.floatToFloat16(value));
        case BF16 ->
            segment.setAtIndex(
                ValueLayout.JAVA_SHORT, i, (short) (Float.floatToRawIntBits(value) >>> 16));
      }
    }
    return segment;
  }
}
