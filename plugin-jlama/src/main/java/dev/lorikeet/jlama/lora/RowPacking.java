package dev.lorikeet.jlama.lora;

import static dev.lorikeet.jlama.kernel.Lanes.BLOCK;
import static dev.lorikeet.jlama.kernel.Lanes.BYTES;
import static dev.lorikeet.jlama.kernel.Lanes.F;
import static dev.lorikeet.jlama.kernel.Lanes.I;
import static dev.lorikeet.jlama.kernel.Lanes.LE;
import static dev.lorikeet.jlama.kernel.NativeMemory.ADDRESS;
import static dev.lorikeet.jlama.kernel.NativeMemory.ALL;
import static jdk.incubator.vector.VectorOperators.GE;
import static jdk.incubator.vector.VectorOperators.LSHL;
import static jdk.incubator.vector.VectorOperators.LSHR;

import dev.lorikeet.jlama.kernel.Lanes;
import dev.lorikeet.jlama.kernel.NativeMemory;
import dev.lorikeet.tensor.ElementType;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;

/**
 * Widens a row to F32 blocks, the last one zero-padded: in natural order beside F32 weights, evens
 * before odds beside 16-bit ones.
 */
final class RowPacking {
  private RowPacking() {}

  /**
   * Packs one row.
   *
   * @param from address of the row, {@code length} elements of {@code type}
   * @param to address of the first block, 2 L floats
   * @param step bytes from one block to the next
   * @param split whether blocks hold evens, then odds; else natural order
   * @param tail address of scratch for one block of F32
   */
  static void pack(
      ElementType type, long from, int length, long to, long step, boolean split, long tail) {
    int full = length / BLOCK;
    int rest = length - full * BLOCK;
    if (rest > 0) {
      Lanes.zeroBlocks(tail, 1);
      NativeMemory.copy(
          from + (long) full * BLOCK * type.bytes(), tail, (long) rest * type.bytes());
    }
    long source = from;
    long target = to;
    int blocks = full;
    for (int part = 0; part < 2; part++) {
      packBlocks(type, source, blocks, target, step, split);
      source = tail;
      target = to + full * step;
      blocks = rest > 0 ? 1 : 0;
    }
  }

  private static void packBlocks(
      ElementType type, long from, int blocks, long to, long step, boolean split) {
    switch (type) {
      case F32 -> {
        if (split) {
          splitF32(from, blocks, to, step);
        } else {
          copyF32(from, blocks, to, step);
        }
      }
      case BF16 -> widenBfloat16(from, blocks, to, step);
      case F16 -> {
        separate(from, blocks, to, step);
        widenFloat16(blocks, to, step);
      }
    }
    if (type != ElementType.F32 && !split) {
      joinBlocks(blocks, to, step);
    }
  }

  private static void copyF32(long from, int blocks, long to, long step) {
    for (int i = 0; i < blocks; i++) {
      long source = from + i * 2L * BYTES;
      long target = to + i * step;
      FloatVector first = FloatVector.fromMemorySegment(F, ALL, source & ADDRESS, LE);
      FloatVector second = FloatVector.fromMemorySegment(F, ALL, (source + BYTES) & ADDRESS, LE);
      first.intoMemorySegment(ALL, target & ADDRESS, LE);
      second.intoMemorySegment(ALL, (target + BYTES) & ADDRESS, LE);
    }
  }

  private static void splitF32(long from, int blocks, long to, long step) {
    for (int i = 0; i < blocks; i++) {
      long source = from + i * 2L * BYTES;
      long target = to + i * step;
      FloatVector first = FloatVector.fromMemorySegment(F, ALL, source & ADDRESS, LE);
      FloatVector second = FloatVector.fromMemorySegment(F, ALL, (source + BYTES) & ADDRESS, LE);
      FloatVector even = first.rearrange(Lanes.EVEN, second);
      FloatVector odd = first.rearrange(Lanes.ODD, second);
      even.intoMemorySegment(ALL, target & ADDRESS, LE);
      odd.intoMemorySegment(ALL, (target + BYTES) & ADDRESS, LE);
    }
  }

  private static void widenBfloat16(long from, int blocks, long to, long step) {
    for (int i = 0; i < blocks; i++) {
      long target = to + i * step;
      IntVector pairs =
          IntVector.fromMemorySegment(I, ALL, (from + (long) i * BYTES) & ADDRESS, LE);
      IntVector even = pairs.lanewise(LSHL, 16);
      IntVector odd = pairs.and(0xffff0000);
      even.intoMemorySegment(ALL, target & ADDRESS, LE);
      odd.intoMemorySegment(ALL, (target + BYTES) & ADDRESS, LE);
    }
  }

  /** Stores 16-bit elements as ints, evens before odds. */
  private static void separate(long from, int blocks, long to, long step) {
    for (int i = 0; i < blocks; i++) {
      long target = to + i * step;
      IntVector pairs =
          IntVector.fromMemorySegment(I, ALL, (from + (long) i * BYTES) & ADDRESS, LE);
      IntVector even = pairs.and(0xffff);
      IntVector odd = pairs.lanewise(LSHR, 16);
      even.intoMemorySegment(ALL, target & ADDRESS, LE);
      odd.intoMemorySegment(ALL, (target + BYTES) & ADDRESS, LE);
    }
  }

  /*
   * The exponent is moved from bias 15 to bias 127. A subnormal m * 2^-24 is (1 + m * 2^-10) *
   * 2^-14 less 2^-14, which no rounding touches; infinity and NaN have the exponent moved once more.
   */
  private static void widenFloat16(int blocks, long to, long step) {
    for (int i = 0; i < 2 * blocks; i++) {
      long target = to + i / 2 * step + i % 2 * BYTES;
      IntVector bits = IntVector.fromMemorySegment(I, ALL, target & ADDRESS, LE);
      IntVector sign = bits.and(0x8000).lanewise(LSHL, 16);
      IntVector magnitude = bits.and(0x7fff).lanewise(LSHL, 13);
      IntVector subnormal =
          magnitude.add(113 << 23).reinterpretAsFloats().sub(0x1p-14f).reinterpretAsInts();
      IntVector wide =
          magnitude
              .add(112 << 23)
              .blend(subnormal, magnitude.lt(1 << 23))
              .blend(magnitude.add(224 << 23), magnitude.compare(GE, 31 << 23))
              .or(sign);
      wide.intoMemorySegment(ALL, target & ADDRESS, LE);
    }
  }

  /** Brings blocks of evens and odds to natural order. */
  private static void joinBlocks(int blocks, long to, long step) {
    for (int i = 0; i < blocks; i++) {
      long target = to + i * step;
      FloatVector even = FloatVector.fromMemorySegment(F, ALL, target & ADDRESS, LE);
      FloatVector odd = FloatVector.fromMemorySegment(F, ALL, (target + BYTES) & ADDRESS, LE);
      FloatVector first = even.rearrange(Lanes.JOIN_LOW, odd);
      FloatVector second = even.rearrange(Lanes.JOIN_HIGH, odd);
      first.intoMemorySegment(ALL, target & ADDRESS, LE);
      second.intoMemorySegment(ALL, (target + BYTES) & ADDRESS, LE);
    }
  }
}
