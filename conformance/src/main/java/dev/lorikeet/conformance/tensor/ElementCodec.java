package dev.lorikeet.conformance.tensor;

import dev.lorikeet.adapter.LoraFactor;
import dev.lorikeet.tensor.ElementType;
import dev.lorikeet.tensor.Tensor;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;

/** Reads and writes single elements, rounding to nearest, ties to even. */
public final class ElementCodec {
  private static final ValueLayout.OfFloat F32 =
      ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final ValueLayout.OfShort U16 =
      ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  private ElementCodec() {}

  /** Returns the element at an index. */
  public static float get(MemorySegment memory, ElementType type, long index) {
    return switch (type) {
      case F32 -> memory.get(F32, 4 * index);
      case BF16 -> Float.intBitsToFloat(memory.get(U16, 2 * index) << 16);
      case F16 -> Float.float16ToFloat(memory.get(U16, 2 * index));
    };
  }

  /** Returns an element of a tensor in host memory. */
  public static float get(Tensor tensor, long row, long column) {
    return get(tensor.segment(), tensor.type(), row * tensor.rowStride() + column);
  }

  /** Returns an element of one row of a factor in host memory. */
  public static float get(LoraFactor factor, int row, int index) {
    return get(
        factor.memory(), factor.type(), factor.rowOffset(row) / factor.type().bytes() + index);
  }

  /** Writes an element of a tensor in host memory, rounded to its type. */
  public static void set(Tensor tensor, long row, long column, float value) {
    set(tensor.segment(), tensor.type(), row * tensor.rowStride() + column, value);
  }

  /** Writes the element at an index, rounded to its type. */
  public static void set(MemorySegment memory, ElementType type, long index, float value) {
    switch (type) {
      case F32 -> memory.set(F32, 4 * index, value);
      case BF16 -> memory.set(U16, 2 * index, bf16Bits(value));
      case F16 -> memory.set(U16, 2 * index, Float.floatToFloat16(value));
    }
  }

  /** Returns the nearest value of a type. */
  public static float round(ElementType type, float value) {
    return switch (type) {
      case F32 -> value;
      case BF16 -> Float.intBitsToFloat(bf16Bits(value) << 16);
      case F16 -> Float.float16ToFloat(Float.floatToFloat16(value));
    };
  }

  /**
   * Returns half the distance between a type's smallest numbers: the largest error of underflow.
   */
  public static double underflow(ElementType type) {
    return switch (type) {
      case F32 -> 0x1p-150;
      case BF16 -> 0x1p-134;
      case F16 -> 0x1p-25;
    };
  }

  /** Returns half the distance between 1 and the next number of a type. */
  public static double unitRoundoff(ElementType type) {
    return switch (type) {
      case F32 -> 0x1p-24;
      case BF16 -> 0x1p-8;
      case F16 -> 0x1p-11;
    };
  }

  private static short bf16Bits(float value) {
    if (Float.isNaN(value)) {
      return (short) 0x7FC0;
    }
    int bits = Float.floatToRawIntBits(value);
    return (short) ((bits + 0x7FFF + ((bits >>> 16) & 1)) >>> 16);
  }
}
