package dev.lorikeet.jlama.lora;

import static dev.lorikeet.jlama.lora.Lanes.ADDRESS;
import static dev.lorikeet.jlama.lora.Lanes.ALL;
import static dev.lorikeet.jlama.lora.Lanes.BLOCK;
import static dev.lorikeet.jlama.lora.Lanes.BYTES;
import static dev.lorikeet.jlama.lora.Lanes.EVENS;
import static dev.lorikeet.jlama.lora.Lanes.F;
import static dev.lorikeet.jlama.lora.Lanes.I;
import static dev.lorikeet.jlama.lora.Lanes.LITTLE;
import static dev.lorikeet.jlama.lora.Lanes.ODD;
import static dev.lorikeet.jlama.lora.Lanes.ODDS;
import static dev.lorikeet.jlama.lora.Lanes.SECOND_HALF;
import static dev.lorikeet.jlama.lora.Lanes.TWICE_FIRST;
import static dev.lorikeet.jlama.lora.Lanes.TWICE_SECOND;
import static jdk.incubator.vector.VectorOperators.GE;
import static jdk.incubator.vector.VectorOperators.LSHL;
import static jdk.incubator.vector.VectorOperators.LSHR;

import dev.lorikeet.tensor.ElementType;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;

/** Widens a row to F32 blocks, in natural order or evens before odds, the last one zero-padded. */
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
      Lanes.copy(from + (long) full * BLOCK * type.bytes(), tail, (long) rest * type.bytes());
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
      FloatVector first = FloatVector.fromMemorySegment(F, ALL, source & ADDRESS, LITTLE);
      FloatVector second =
          FloatVector.fromMemorySegment(F, ALL, (source + BYTES) & ADDRESS, LITTLE);
      first.intoMemorySegment(ALL, target & ADDRESS, LITTLE);
      second.intoMemorySegment(ALL, (target + BYTES) & ADDRESS, LITTLE);
    }
  }

  private static void splitF32(long from, int blocks, long to, long step) {
    for (int i = 0; i < blocks; i++) {
      long source = from + i * 2L * BYTES;
      long target = to + i * step;
      FloatVector first = FloatVector.fromMemorySegment(F, ALL, source & ADDRESS, LITTLE);
      FloatVector second =
          FloatVector.fromMemorySegment(F, ALL, (source + BYTES) & ADDRESS, LITTLE);
      FloatVector even = first.rearrange(EVENS).blend(second.rearrange(EVENS), SECOND_HALF);
      FloatVector odd = first.rearrange(ODDS).blend(second.rearrange(ODDS), SECOND_HALF);
      even.intoMemorySegment(ALL, target & ADDRESS, LITTLE);
      odd.intoMemorySegment(ALL, (target + BYTES) & ADDRESS, LITTLE);
    }
  }

  private static void widenBfloat16(long from, int blocks, long to, long step) {
    for (int i = 0; i < blocks; i++) {
      long target = to + i * step;
      IntVector pairs =
          IntVector.fromMemorySegment(I, ALL, (from + (long) i * BYTES) & ADDRESS, LITTLE);
      IntVector even = pairs.lanewise(LSHL, 16);
      IntVector odd = pairs.and(0xffff0000);
      even.intoMemorySegment(ALL, target & ADDRESS, LITTLE);
      odd.intoMemorySegment(ALL, (target + BYTES) & ADDRESS, LITTLE);
    }
  }

  /** Stores 16-bit elements as ints, evens before odds. */
  private static void separate(long from, int blocks, long to, long step) {
    for (int i = 0; i < blocks; i++) {
      long target = to + i * step;
      IntVector pairs =
          IntVector.fromMemorySegment(I, ALL, (from + (long) i * BYTES) & ADDRESS, LITTLE);
      IntVector even = pairs.and(0xffff);
      IntVector odd = pairs.lanewise(LSHR, 16);
      even.intoMemorySegment(ALL, target & ADDRESS, LITTLE);
      odd.intoMemorySegment(ALL, (target + BYTES) & ADDRESS, LITTLE);
    }
  }

  /*
   * The exponent is moved from bias 15 to bias 127. A subnormal m * 2^-24 is (1 + m * 2^-10) *
   * 2^-14 less 2^-14, which no rounding touches; infinity and NaN have the exponent moved once more.
   */
  private static void widenFloat16(int blocks, long to, long step) {
    for (int i = 0; i < 2 * blocks; i++) {
      long target = to + i / 2 * step + i % 2 * (long) BYTES;
      IntVector bits = IntVector.fromMemorySegment(I, ALL, target & ADDRESS, LITTLE);
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
      wide.intoMemorySegment(ALL, target & ADDRESS, LITTLE);
    }
  }

  /** Brings blocks of evens and odds to natural order. */
  private static void joinBlocks(int blocks, long to, long step) {
    for (int i = 0; i < blocks; i++) {
      long target = to + i * step;
      FloatVector even = FloatVector.fromMemorySegment(F, ALL, target & ADDRESS, LITTLE);
      FloatVector odd = FloatVector.fromMemorySegment(F, ALL, (target + BYTES) & ADDRESS, LITTLE);
      FloatVector first = even.rearrange(TWICE_FIRST).blend(odd.rearrange(TWICE_FIRST), ODD);
      FloatVector second = even.rearrange(TWICE_SECOND).blend(odd.rearrange(TWICE_SECOND), ODD);
      first.intoMemorySegment(ALL, target & ADDRESS, LITTLE);
      second.intoMemorySegment(ALL, (target + BYTES) & ADDRESS, LITTLE);
    }
  }
}
