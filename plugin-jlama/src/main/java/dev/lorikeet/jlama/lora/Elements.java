package dev.lorikeet.jlama.lora;

import dev.lorikeet.tensor.ElementType;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;

/** Single elements of a stored type as F32, and back with rounding to nearest even. */
final class Elements {
  private static final ValueLayout.OfShort SHORT =
      ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final ValueLayout.OfFloat FLOAT =
      ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  private Elements() {}

  /** Returns the element at a byte offset. */
  static float get(MemorySegment segment, ElementType type, long offset) {
    return switch (type) {
      case F32 -> segment.get(FLOAT, offset);
      case BF16 -> Float.intBitsToFloat(segment.get(SHORT, offset) << 16);
      case F16 -> Float.float16ToFloat(segment.get(SHORT, offset));
    };
  }

  /** Writes an element at a byte offset, rounded to the nearest, ties to even. */
  static void set(MemorySegment segment, ElementType type, long offset, float value) {
    switch (type) {
      case F32 -> segment.set(FLOAT, offset, value);
      case BF16 -> segment.set(SHORT, offset, toBfloat16(value));
      case F16 -> segment.set(SHORT, offset, Float.floatToFloat16(value));
    }
  }

  /** Rounds to the nearest BF16, ties to even; a NaN stays a NaN. */
  static short toBfloat16(float value) {
    int bits = Float.floatToRawIntBits(value);
    if (Float.isNaN(value)) {
      return (short) ((bits >>> 16) | 0x40);
    }
    return (short) ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16);
  }
}
