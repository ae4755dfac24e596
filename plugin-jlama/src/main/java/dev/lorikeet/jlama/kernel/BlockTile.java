package dev.lorikeet.jlama.kernel;

import static dev.lorikeet.jlama.kernel.BlockType.GROUP;
import static dev.lorikeet.jlama.kernel.BlockType.Q4_K_ELEMENTS;
import static dev.lorikeet.jlama.kernel.BlockType.Q4_K_MINIMUM;
import static dev.lorikeet.jlama.kernel.BlockType.Q4_K_SCALES;
import static dev.lorikeet.jlama.kernel.BlockType.Q5_0_HIGH;
import static dev.lorikeet.jlama.kernel.BlockType.Q5_0_LOW;
import static dev.lorikeet.jlama.kernel.BlockType.Q5_K_HIGH;
import static dev.lorikeet.jlama.kernel.BlockType.Q5_K_LOW;
import static dev.lorikeet.jlama.kernel.BlockType.Q6_K_HIGH;
import static dev.lorikeet.jlama.kernel.BlockType.Q6_K_SCALE;
import static dev.lorikeet.jlama.kernel.BlockType.Q6_K_SCALES;
import static dev.lorikeet.jlama.kernel.BlockType.Q8_0_ELEMENTS;
import static dev.lorikeet.jlama.kernel.Lanes.BLOCK;
import static dev.lorikeet.jlama.kernel.Lanes.BLOCK_BYTES;
import static dev.lorikeet.jlama.kernel.Lanes.BYTES;
import static dev.lorikeet.jlama.kernel.Lanes.F;
import static dev.lorikeet.jlama.kernel.Lanes.I;
import static dev.lorikeet.jlama.kernel.Lanes.L;
import static dev.lorikeet.jlama.kernel.Lanes.LE;
import static dev.lorikeet.jlama.kernel.NativeMemory.ADDRESS;
import static dev.lorikeet.jlama.kernel.NativeMemory.ALL;
import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT_UNALIGNED;
import static java.lang.foreign.ValueLayout.JAVA_LONG_UNALIGNED;
import static java.lang.foreign.ValueLayout.JAVA_SHORT_UNALIGNED;
import static jdk.incubator.vector.VectorOperators.ASHR;
import static jdk.incubator.vector.VectorOperators.I2F;
import static jdk.incubator.vector.VectorOperators.LSHL;
import static jdk.incubator.vector.VectorOperators.LSHR;
import static jdk.incubator.vector.VectorOperators.S2I;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.ShortVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorShape;
import jdk.incubator.vector.VectorSpecies;

/** Widens rows of {@link BlockType} to float32 in the order of packed activations. */
final class BlockTile {
  /*
   * Idea. Elements are bytes, or parts of bytes, in their order. L pairs of bytes are loaded as L 16-bit numbers and
   * widened to L ints, of which the low bytes are even elements and the high bytes odd ones: the order of packed
   * activations, by shifts alone and without a shuffle. Then ints become floats and are scaled.
   *
   * Groups of 32 elements are taken one by one, whatever the width: they are 1, 2 or 4 packed blocks, and have one
   * scale, or (Q6_K) two, which with 16 lanes share a vector.
   *
   * Cost, foreseen with 16 lanes, operations for 32 weights beside two stores, two a cycle: Q8_0 8 (load, widen, two
   * shifts, two conversions, two products), Q4_K 10, Q5_K 14, Q6_K 15, each with some 10 of scalar arithmetic for the
   * scales of K-quants. Multiplying from there takes a load and an FMA for each vector, row and token. So for one token
   * these types are bound by arithmetic, not by memory. Measured on one thread of a busy AVX2 machine, best of 40, for
   * 2048 x 4096 weights, in milliseconds for 1, 4 and 16 tokens: Q8_0 1.6, 2.7, 7.0; Q4_K 2.3, 3.2, 7.0; Q6_K 3.6, 4.6,
   * 8.8; F16 by the same way 2.2, 3.0, 7.0; BF16, which is not widened to memory, 0.6, 1.1, 4.3.
   * The scales and minima of Q4_K and Q5_K are taken apart in both loops: a method of their own makes Q4_K 5% slower.
   */
  private static final VectorSpecies<Short> S =
      VectorSpecies.of(short.class, VectorShape.forBitSize(L * Short.SIZE));

  /** Packed blocks of a group. */
  private static final int PARTS = GROUP / BLOCK;

  /** Bytes of one of them, where each element is one. */
  private static final long PART_BYTES = BLOCK;

  /** The bits of a group's first elements in the lanes of the evens. */
  private static final IntVector EVEN_BITS = IntVector.zero(I).addIndex(2);

  /** With 16 lanes the second half of a packed block, which has a scale of its own in Q6_K. */
  private static final VectorMask<Float> SECOND = VectorMask.fromLong(F, L == 16 ? 0xff00L : 0);

  private BlockTile() {}

  /**
   * Widens a part of a row.
   *
   * @param group the first group of 32 elements
   * @param groups how many
   */
  static void widen(WeightMatrix.Blocks weights, int row, int group, int groups, long to) {
    long from = weights.segment().address() + row * weights.rowBytes();
    switch (weights.type()) {
      case Q8_0 -> widenQ80(from, group, groups, to);
      case Q5_0 -> widenQ50(from, group, groups, to);
      case Q4_K -> widenQ4K(from, group, groups, to);
      case Q5_K -> widenQ5K(from, group, groups, to);
      case Q6_K -> widenQ6K(from, group, groups, to);
    }
  }

  private static void widenQ80(long row, int first, int groups, long to) {
    long end = row + (long) (first + groups) * BlockType.Q8_0.bytes();
    long target = to;
    for (long block = row + (long) first * BlockType.Q8_0.bytes();
        block < end;
        block += BlockType.Q8_0.bytes()) {
      float scale = Float.float16ToFloat(ALL.get(JAVA_SHORT_UNALIGNED, block & ADDRESS));
      float ofHighByte = scale * 0x1p-24f;
      for (int part = 0; part < PARTS; part++) {
        long s = block + Q8_0_ELEMENTS + part * PART_BYTES & ADDRESS;
        long t = target & ADDRESS;
        IntVector pairs =
            (IntVector) ShortVector.fromMemorySegment(S, ALL, s, LE).convertShape(S2I, I, 0);
        ((FloatVector) pairs.lanewise(LSHL, 24).convertShape(I2F, F, 0))
            .mul(ofHighByte)
            .intoMemorySegment(ALL, t, LE);
        ((FloatVector) pairs.lanewise(ASHR, 8).convertShape(I2F, F, 0))
            .mul(scale)
            .intoMemorySegment(ALL, t + BYTES, LE);
        target += BLOCK_BYTES;
      }
    }
  }

  /**
   * Elements lie as in Jlama's Q4, so they are spread as there; bit i of the upper bits belongs to
   * lane i / 2 of the evens or of the odds.
   */
  private static void widenQ50(long row, int first, int groups, long to) {
    long end = row + (long) (first + groups) * BlockType.Q5_0.bytes();
    long target = to;
    for (long block = row + (long) first * BlockType.Q5_0.bytes();
        block < end;
        block += BlockType.Q5_0.bytes()) {
      float scale = Float.float16ToFloat(ALL.get(JAVA_SHORT_UNALIGNED, block & ADDRESS));
      int bits = ALL.get(JAVA_INT_UNALIGNED, block + Q5_0_HIGH & ADDRESS);
      if (L < 8) {
        widenQ50Scalar(block, scale, bits, target);
        target += PARTS * BLOCK_BYTES;
        continue;
      }
      FloatVector factor = FloatVector.broadcast(F, scale);
      FloatVector offset = FloatVector.broadcast(F, -16 * scale);
      IntVector low =
          (IntVector)
              IntVector.fromMemorySegment(
                      IntVector.SPECIES_128, ALL, block + Q5_0_LOW & ADDRESS, LE)
                  .reinterpretShape(I, 0);
      for (int part = 0; part < PARTS; part++) {
        IntVector pairs =
            WeightTile.Q4_SPREAD
                .selectFrom(low)
                .lanewise(LSHR, WeightTile.Q4_SHIFT)
                .lanewise(LSHR, part * 4);
        IntVector high = IntVector.broadcast(I, bits >>> part * BLOCK).lanewise(LSHR, EVEN_BITS);
        ((FloatVector) pairs.and(15).or(high.and(1).lanewise(LSHL, 4)).convertShape(I2F, F, 0))
            .fma(factor, offset)
            .intoMemorySegment(ALL, target & ADDRESS, LE);
        ((FloatVector)
                pairs
                    .lanewise(LSHR, 8)
                    .and(15)
                    .or(high.and(2).lanewise(LSHL, 3))
                    .convertShape(I2F, F, 0))
            .fma(factor, offset)
            .intoMemorySegment(ALL, target + BYTES & ADDRESS, LE);
        target += BLOCK_BYTES;
      }
    }
  }

  private static void widenQ50Scalar(long block, float scale, int bits, long to) {
    for (int i = 0; i < GROUP; i++) {
      int pair = ALL.get(JAVA_BYTE, block + Q5_0_LOW + i % 16);
      int low = i < 16 ? pair & 15 : pair >> 4 & 15;
      int number = (low | (bits >>> i & 1) << 4) - 16;
      NativeMemory.set(to + i / BLOCK * BLOCK_BYTES + WeightTile.place(i % BLOCK), scale * number);
    }
  }

  private static void widenQ4K(long row, int first, int groups, long to) {
    long target = to;
    for (int g = first; g < first + groups; g++) {
      long block = row + (long) (g / 8) * BlockType.Q4_K.bytes() & ADDRESS;
      int group = g % 8;
      long scales = ALL.get(JAVA_LONG_UNALIGNED, block + Q4_K_SCALES);
      int more = ALL.get(JAVA_INT_UNALIGNED, block + Q4_K_SCALES + Long.BYTES);
      int shift = group % 4 * 8;
      int low = (int) (scales >>> shift) & 255;
      int high = (int) (scales >>> shift + 32) & 255;
      int rest = more >>> shift & 255;
      int s = group < 4 ? low & 63 : rest & 15 | low >> 6 << 4;
      int t = group < 4 ? high & 63 : rest >> 4 | high >> 6 << 4;
      float scale = Float.float16ToFloat(ALL.get(JAVA_SHORT_UNALIGNED, block)) * s;
      float minimum = Float.float16ToFloat(ALL.get(JAVA_SHORT_UNALIGNED, block + Q4_K_MINIMUM)) * t;
      FloatVector factor = FloatVector.broadcast(F, scale);
      FloatVector offset = FloatVector.broadcast(F, -minimum);
      int nibble = group % 2 * 4;
      long elements = block + Q4_K_ELEMENTS + (long) (group / 2) * GROUP;
      for (int part = 0; part < PARTS; part++) {
        IntVector pairs =
            ((IntVector)
                    ShortVector.fromMemorySegment(
                            S, ALL, elements + part * PART_BYTES & ADDRESS, LE)
                        .convertShape(S2I, I, 0))
                .lanewise(LSHR, nibble);
        ((FloatVector) pairs.and(15).convertShape(I2F, F, 0))
            .fma(factor, offset)
            .intoMemorySegment(ALL, target & ADDRESS, LE);
        ((FloatVector) pairs.lanewise(LSHR, 8).and(15).convertShape(I2F, F, 0))
            .fma(factor, offset)
            .intoMemorySegment(ALL, target + BYTES & ADDRESS, LE);
        target += BLOCK_BYTES;
      }
    }
  }

  private static void widenQ5K(long row, int first, int groups, long to) {
    long target = to;
    for (int g = first; g < first + groups; g++) {
      long block = row + (long) (g / 8) * BlockType.Q5_K.bytes() & ADDRESS;
      int group = g % 8;
      long scales = ALL.get(JAVA_LONG_UNALIGNED, block + Q4_K_SCALES);
      int more = ALL.get(JAVA_INT_UNALIGNED, block + Q4_K_SCALES + Long.BYTES);
      int shift = group % 4 * 8;
      int low = (int) (scales >>> shift) & 255;
      int high = (int) (scales >>> shift + 32) & 255;
      int rest = more >>> shift & 255;
      int s = group < 4 ? low & 63 : rest & 15 | low >> 6 << 4;
      int t = group < 4 ? high & 63 : rest >> 4 | high >> 6 << 4;
      float scale = Float.float16ToFloat(ALL.get(JAVA_SHORT_UNALIGNED, block)) * s;
      float minimum = Float.float16ToFloat(ALL.get(JAVA_SHORT_UNALIGNED, block + Q4_K_MINIMUM)) * t;
      FloatVector factor = FloatVector.broadcast(F, scale);
      FloatVector offset = FloatVector.broadcast(F, -minimum);
      int nibble = group % 2 * 4;
      long elements = block + Q5_K_LOW + (long) (group / 2) * GROUP;
      long highs = block + Q5_K_HIGH;
      for (int part = 0; part < PARTS; part++) {
        ShortVector lowBits =
            ShortVector.fromMemorySegment(S, ALL, elements + part * PART_BYTES & ADDRESS, LE)
                .lanewise(LSHR, nibble)
                .and((short) 0x0f0f);
        ShortVector highBits =
            ShortVector.fromMemorySegment(S, ALL, highs + part * PART_BYTES & ADDRESS, LE)
                .lanewise(LSHR, group)
                .and((short) 0x0101)
                .lanewise(LSHL, 4);
        IntVector pairs = (IntVector) lowBits.or(highBits).convertShape(S2I, I, 0);
        ((FloatVector) pairs.and(255).convertShape(I2F, F, 0))
            .fma(factor, offset)
            .intoMemorySegment(ALL, target & ADDRESS, LE);
        ((FloatVector) pairs.lanewise(LSHR, 8).convertShape(I2F, F, 0))
            .fma(factor, offset)
            .intoMemorySegment(ALL, target + BYTES & ADDRESS, LE);
        target += BLOCK_BYTES;
      }
    }
  }

  private static void widenQ6K(long row, int first, int groups, long to) {
    long target = to;
    for (int g = first; g < first + groups; g++) {
      long block = row + (long) (g / 8) * BlockType.Q6_K.bytes() & ADDRESS;
      int group = g % 8;
      long half = group / 4;
      int part = group % 4;
      float d = Float.float16ToFloat(ALL.get(JAVA_SHORT_UNALIGNED, block + Q6_K_SCALE));
      float scale = d * ALL.get(JAVA_BYTE, block + Q6_K_SCALES + group * 2L);
      float second = d * ALL.get(JAVA_BYTE, block + Q6_K_SCALES + group * 2L + 1);
      int lowShift = part / 2 * 4;
      int highShift = part * 2;
      long lows = block + half * 64 + (long) (part % 2) * GROUP;
      long highs = block + Q6_K_HIGH + half * GROUP;
      for (int p = 0; p < PARTS; p++) {
        ShortVector low =
            ShortVector.fromMemorySegment(S, ALL, lows + p * PART_BYTES & ADDRESS, LE)
                .lanewise(LSHR, lowShift)
                .and((short) 0x0f0f);
        ShortVector high =
            ShortVector.fromMemorySegment(S, ALL, highs + p * PART_BYTES & ADDRESS, LE)
                .lanewise(LSHR, highShift)
                .and((short) 0x0303)
                .lanewise(LSHL, 4);
        IntVector pairs = (IntVector) low.or(high).convertShape(S2I, I, 0);
        // the parts of a group that have one scale; with 16 lanes a part has both
        FloatVector factor =
            FloatVector.broadcast(F, 2 * p < PARTS ? scale : second).blend(second, SECOND);
        FloatVector offset = factor.mul(-32);
        ((FloatVector) pairs.and(255).convertShape(I2F, F, 0))
            .fma(factor, offset)
            .intoMemorySegment(ALL, target & ADDRESS, LE);
        ((FloatVector) pairs.lanewise(LSHR, 8).convertShape(I2F, F, 0))
            .fma(factor, offset)
            .intoMemorySegment(ALL, target + BYTES & ADDRESS, LE);
        target += BLOCK_BYTES;
      }
    }
  }
}
