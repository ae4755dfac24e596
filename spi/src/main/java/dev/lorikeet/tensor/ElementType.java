package dev.lorikeet.tensor;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;

/**
 * How one element of a {@link Tensor} is stored. All types are little-endian, as in safetensors
 * files.
 *
 * <p>{@link #read} and {@link #write} convert one element at a time: they are for scalar code,
 * small tensors and tests. A kernel converts whole registers and has to agree with them.
 */
public enum ElementType {
  /** IEEE 754 binary32. */
  F32(4),
  /** The upper half of an IEEE 754 binary32: 8 exponent bits, 7 mantissa bits. */
  BF16(2),
  /** IEEE 754 binary16: 5 exponent bits, 10 mantissa bits. */
  F16(2);

  private static final ValueLayout.OfFloat FLOAT =
      ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final ValueLayout.OfShort SHORT =
      ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  private final int bytes;

  ElementType(int bytes) {
    this.bytes = bytes;
  }

  /** Returns the size of one element in bytes. */
  public int bytes() {
    return bytes;
  }

  /** Returns the largest relative error of rounding to this type: 2^-24, 2^-8 or 2^-11. */
  public double unitRoundoff() {
    return switch (this) {
      case F32 -> 0x1p-24;
      case BF16 -> 0x1p-8;
      case F16 -> 0x1p-11;
    };
  }

  /**
   * Reads an element; every value of every type is a float32, so nothing is rounded.
   *
   * @param segment memory that this process may dereference
   * @param offset where the element begins, in bytes; any alignment
   * @throws IndexOutOfBoundsException if the element does not lie within the segment
   */
  public float read(MemorySegment segment, long offset) {
    return switch (this) {
      case F32 -> segment.get(FLOAT, offset);
      case BF16 -> widenBf16(segment.get(SHORT, offset));
      case F16 -> Float.float16ToFloat(segment.get(SHORT, offset));
    };
  }

  /**
   * Writes an element as {@link #round} rounds it.
   *
   * @param segment memory that this process may dereference
   * @param offset where the element begins, in bytes; any alignment
   * @param value what to write
   * @throws IndexOutOfBoundsException if the element does not lie within the segment
   */
  public void write(MemorySegment segment, long offset, float value) {
    switch (this) {
      case F32 -> segment.set(FLOAT, offset, value);
      case BF16 -> segment.set(SHORT, offset, narrowBf16(value));
      case F16 -> segment.set(SHORT, offset, narrowF16(value));
    }
  }

  /**
   * Returns the value of this type that is nearest to a float32, of two that are equally near the
   * one whose last bit is 0 (IEEE 754, roundTiesToEven). What would round beyond the largest finite
   * value becomes an infinity, and what is too small a zero, of the same sign. A NaN stays one; the
   * 16-bit types make it quiet.
   */
  public float round(float value) {
    return switch (this) {
      case F32 -> value;
      case BF16 -> widenBf16(narrowBf16(value));
      case F16 -> Float.float16ToFloat(narrowF16(value));
    };
  }

  private static float widenBf16(short bits) {
    return Float.intBitsToFloat(bits << 16);
  }

  private static short narrowBf16(float value) {
    int bits = Float.floatToRawIntBits(value);
    if (Float.isNaN(value)) {
      return (short) (bits >>> 16 | 0x40); // the quiet bit, lest the upper half be an infinity
    }
    // Half of the last place, less one where that place is even: it carries when it has to go up.
    return (short) (bits + 0x7FFF + (bits >>> 16 & 1) >>> 16);
  }

  private static short narrowF16(float value) {
    short bits = Float.floatToFloat16(value);
    return Float.isNaN(value) ? (short) (bits | 0x200) : bits;
  }
}
