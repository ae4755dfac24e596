package dev.lorikeet.cuda.lora;

import dev.lorikeet.tensor.ElementType;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** Reads and writes single elements of any type. */
final class Elements {
  private Elements() {}

  static float get(MemorySegment memory, ElementType type, long index) {
    return switch (type) {
      case F32 -> memory.get(ValueLayout.JAVA_FLOAT_UNALIGNED, 4 * index);
      case BF16 ->
          Float.intBitsToFloat(memory.get(ValueLayout.JAVA_SHORT_UNALIGNED, 2 * index) << 16);
      case F16 -> Float.float16ToFloat(memory.get(ValueLayout.JAVA_SHORT_UNALIGNED, 2 * index));
    };
  }

  static void set(MemorySegment memory, ElementType type, long index, float value) {
    switch (type) {
      case F32 -> memory.set(ValueLayout.JAVA_FLOAT_UNALIGNED, 4 * index, value);
      case BF16 -> {
        int bits = Float.floatToIntBits(value);
        int rounded = (bits + 0x7fff + (bits >>> 16 & 1)) >>> 16;
        memory.set(ValueLayout.JAVA_SHORT_UNALIGNED, 2 * index, (short) rounded);
      }
      case F16 ->
          memory.set(ValueLayout.JAVA_SHORT_UNALIGNED, 2 * index, Float.floatToFloat16(value));
    }
  }

  /** The largest relative error of rounding to nearest: half a unit in the last place. */
  static double roundoff(ElementType type) {
    return switch (type) {
      case F32 -> 0x1p-24;
      case BF16 -> 0x1p-8;
      case F16 -> 0x1p-11;
    };
  }
}
