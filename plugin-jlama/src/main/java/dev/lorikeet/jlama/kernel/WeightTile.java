package dev.lorikeet.jlama.kernel;

import static dev.lorikeet.jlama.kernel.Lanes.BLOCK;
import static dev.lorikeet.jlama.kernel.Lanes.BLOCK_BYTES;
import static dev.lorikeet.jlama.kernel.Lanes.BYTES;
import static dev.lorikeet.jlama.kernel.Lanes.EVEN;
import static dev.lorikeet.jlama.kernel.Lanes.F;
import static dev.lorikeet.jlama.kernel.Lanes.I;
import static dev.lorikeet.jlama.kernel.Lanes.LE;
import static dev.lorikeet.jlama.kernel.Lanes.ODD;
import static dev.lorikeet.jlama.kernel.NativeMemory.ADDRESS;
import static dev.lorikeet.jlama.kernel.NativeMemory.ALL;

import dev.lorikeet.jlama.kernel.WeightMatrix.LittleEndian;
import dev.lorikeet.tensor.ElementType;
import java.lang.foreign.ValueLayout;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorOperators;

/**
 * Widens rows of weights of any type to float32 in the order of packed activations: blocks of 2 L
 * elements, evens before odds, the last block padded with zeros. Conversions are exact, infinities,
 * NaNs and subnormals included.
 */
final class WeightTile {
  private static final int HIGH_HALF = 0xffff0000;
  private static final int F16_MAGNITUDE = 0x7fff;
  private static final int F16_SIGN = 0x8000;
  private static final int F16_INFINITY = 0x7c00;
  private static final int F16_SMALLEST_NORMAL = 0x0400;
  private static final int REBIAS = 112 << 23;

  private WeightTile() {}

  /** Widens one row of weights to {@code to}. */
  static void widen(WeightMatrix weights, int row, long to) {
    switch (weights) {
      case WeightMatrix.Floats floats -> widen(floats, row, to);
      case WeightMatrix.Q4 q4 -> widenQ4(q4, row, to);
    }
  }

  private static void widen(WeightMatrix.Floats weights, int row, long to) {
    long rowBytes = (long) weights.columns() * weights.type().bytes();
    widenRow(weights.type(), weights.segment().address() + row * rowBytes, weights.columns(), to);
  }

  /** Widens one row of {@code columns} elements. */
  static void widenRow(ElementType type, long from, int columns, long to) {
    int blocks = columns / BLOCK;
    switch (type) {
      case BF16 -> widenBf16(from, blocks, to);
      case F16 -> widenF16(from, blocks, to);
      case F32 -> split(from, blocks, to);
    }
    int rest = columns - blocks * BLOCK;
    if (rest > 0) {
      long target = to + blocks * BLOCK_BYTES;
      for (int i = 0; i < BLOCK; i++) {
        long at = from + ((long) blocks * BLOCK + i) * type.bytes();
        float value = i < rest ? WeightMatrix.element(ALL, type, at) : 0;
        ALL.set(ValueLayout.JAVA_FLOAT, target + place(i), value);
      }
    }
  }

  /** Returns the byte offset of element i within a packed block. */
  static long place(int i) {
    return (i & 1) * BYTES + (i >> 1) * 4L;
  }

  static void widenBf16(long from, int blocks, long to) {
    long source = from & ADDRESS;
    long target = to & ADDRESS;
    for (int b = 0; b < blocks; b++) {
      IntVector pairs = IntVector.fromMemorySegment(I, ALL, source + b * BYTES, LE);
      pairs.lanewise(VectorOperators.LSHL, 16).intoMemorySegment(ALL, target + b * BLOCK_BYTES, LE);
      pairs.and(HIGH_HALF).intoMemorySegment(ALL, target + b * BLOCK_BYTES + BYTES, LE);
    }
  }

  /**
   * Binary16 to binary32, a half of each pair at a time. The exponent moves by 112; infinities and
   * NaNs move by 112 once more; a subnormal is built as a normal number one binade above the
   * smallest, from which that binade is subtracted, exactly.
   */
  static void widenF16(long from, int blocks, long to) {
    long source = from & ADDRESS;
    long target = to & ADDRESS;
    for (int i = 0; i < 2 * blocks; i++) {
      IntVector pairs = IntVector.fromMemorySegment(I, ALL, source + (i >> 1) * BYTES, LE);
      IntVector half = pairs.lanewise(VectorOperators.LSHR, (i & 1) << 4);
      IntVector magnitude = half.and(F16_MAGNITUDE);
      IntVector sign = half.and(F16_SIGN).lanewise(VectorOperators.LSHL, 16);
      IntVector wide = magnitude.lanewise(VectorOperators.LSHL, 13).add(REBIAS);
      VectorMask<Integer> special = magnitude.compare(VectorOperators.GE, F16_INFINITY);
      VectorMask<Integer> subnormal = magnitude.compare(VectorOperators.LT, F16_SMALLEST_NORMAL);
      IntVector small = wide.add(1 << 23).reinterpretAsFloats().sub(0x1p-14f).reinterpretAsInts();
      wide.add(REBIAS, special)
          .blend(small, subnormal)
          .or(sign)
          .intoMemorySegment(ALL, target + i * BYTES, LE);
    }
  }

  /** Splits float32 elements into even and odd vectors. */
  static void split(long from, int blocks, long to) {
    long source = from & ADDRESS;
    long target = to & ADDRESS;
    for (int b = 0; b < blocks; b++) {
      FloatVector low = FloatVector.fromMemorySegment(F, ALL, source + b * BLOCK_BYTES, LE);
      FloatVector high =
          FloatVector.fromMemorySegment(F, ALL, source + b * BLOCK_BYTES + BYTES, LE);
      low.rearrange(EVEN, high).intoMemorySegment(ALL, target + b * BLOCK_BYTES, LE);
      low.rearrange(ODD, high).intoMemorySegment(ALL, target + b * BLOCK_BYTES + BYTES, LE);
    }
  }

  /** Q4 rows hold whole blocks of 32, so whole packed blocks for any width up to 512 bits. */
  private static void widenQ4(WeightMatrix.Q4 weights, int row, long to) {
    int blocks = weights.columns() / WeightMatrix.Q4_BLOCK;
    long nibbles = weights.nibbles().address() + (long) row * blocks * (WeightMatrix.Q4_BLOCK / 2);
    for (int b = 0; b < blocks; b++) {
      float scale = weights.scales().get(LittleEndian.FLOAT, ((long) row * blocks + b) * 4);
      widenQ4Block(
          nibbles + b * (WeightMatrix.Q4_BLOCK / 2),
          scale,
          to + (long) b * WeightMatrix.Q4_BLOCK * 4);
    }
  }

  /** Bytes j of a block are elements j and j + 16; evens and odds are split in a second step. */
  private static void widenQ4Block(long from, float scale, long to) {
    long source = from & ADDRESS;
    long target = to & ADDRESS;
    for (int i = 0; i < WeightMatrix.Q4_BLOCK / 2; i++) {
      int packed = ALL.get(ValueLayout.JAVA_BYTE, source + i);
      int high = i + WeightMatrix.Q4_BLOCK / 2;
      ALL.set(
          ValueLayout.JAVA_FLOAT,
          target + i / BLOCK * BLOCK_BYTES + place(i % BLOCK),
          ((packed & 15) - 8) * scale);
      ALL.set(
          ValueLayout.JAVA_FLOAT,
          target + high / BLOCK * BLOCK_BYTES + place(high % BLOCK),
          ((packed >> 4 & 15) - 8) * scale);
    }
  }
}
