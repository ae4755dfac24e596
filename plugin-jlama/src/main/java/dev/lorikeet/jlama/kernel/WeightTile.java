package dev.lorikeet.jlama.kernel;

import static dev.lorikeet.jlama.kernel.Lanes.BLOCK;
import static dev.lorikeet.jlama.kernel.Lanes.BLOCK_BYTES;
import static dev.lorikeet.jlama.kernel.Lanes.BYTES;
import static dev.lorikeet.jlama.kernel.Lanes.EVEN;
import static dev.lorikeet.jlama.kernel.Lanes.F;
import static dev.lorikeet.jlama.kernel.Lanes.I;
import static dev.lorikeet.jlama.kernel.Lanes.L;
import static dev.lorikeet.jlama.kernel.Lanes.LE;
import static dev.lorikeet.jlama.kernel.Lanes.ODD;
import static dev.lorikeet.jlama.kernel.NativeMemory.ADDRESS;
import static dev.lorikeet.jlama.kernel.NativeMemory.ALL;

import dev.lorikeet.tensor.ElementType;
import java.lang.foreign.ValueLayout;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorOperators;

/**
 * Widens rows of weights of any type to float32 in the order of packed activations: blocks of 2 L
 * elements, evens before odds, the last block padded with zeros. Conversions are exact, infinities,
 * NaNs and subnormals included.
 */
final class WeightTile {
  private static final int HIGH_HALF = 0xffff0000;

  /** Binary16 moved to the places of binary32: its bits. */
  private static final int F16_BITS = 0x8fffe000;

  // The same without the sign, what makes the exponent grow by 224, and the factors and the term
  // that take it back.
  private static final IntVector MAGNITUDE = IntVector.broadcast(I, 0x0fffe000);
  private static final IntVector EXPONENT = IntVector.broadcast(I, 224 << 23);
  private static final IntVector SIGN = IntVector.broadcast(I, Integer.MIN_VALUE);
  private static final FloatVector NORMAL = FloatVector.broadcast(F, 0x1p-112f);
  private static final FloatVector TWICE = FloatVector.broadcast(F, 0x1p-111f);
  private static final FloatVector SMALLEST = FloatVector.broadcast(F, -0x1p-14f);

  private static final int Q4_BYTES = WeightMatrix.Q4_BLOCK / 2;

  /** Packed blocks in a Q4 block. */
  private static final int Q4_PARTS = WeightMatrix.Q4_BLOCK / BLOCK;

  static final IntVector Q4_SPREAD = IntVector.fromArray(I, q4Spread(), 0);
  static final IntVector Q4_SHIFT = IntVector.fromArray(I, q4Shifts(), 0);

  private WeightTile() {}

  private static int[] q4Spread() {
    int[] lanes = new int[L];
    for (int i = 0; i < L; i++) {
      lanes[i] = i % 8 / 2 % L;
    }
    return lanes;
  }

  private static int[] q4Shifts() {
    int[] shifts = new int[L];
    for (int i = 0; i < L; i++) {
      shifts[i] = i % 2 * 16 + i / 8 * 4;
    }
    return shifts;
  }

  /**
   * Widens a part of some rows of weights.
   *
   * @param row the first row
   * @param rows how many
   * @param column the first column, a multiple of 32
   * @param columns how many; no more than there are
   * @param to where the first row goes
   * @param toStep bytes between widened rows
   */
  static void widenPart(
      WeightMatrix weights, int row, int rows, int column, int columns, long to, long toStep) {
    switch (weights) {
      case WeightMatrix.Floats floats -> {
        int bytes = floats.type().bytes();
        long rowBytes = (long) weights.columns() * bytes;
        long from = floats.segment().address() + row * rowBytes + (long) column * bytes;
        widenRows(floats.type(), from, rowBytes, rows, columns, to, toStep);
      }
      case WeightMatrix.Q4 q4 -> {
        for (int r = 0; r < rows; r++) {
          widenQ4(q4, row + r, column / WeightMatrix.Q4_BLOCK, columns, to + r * toStep);
        }
      }
      case WeightMatrix.Blocks blocks -> {
        int groups = columns / BlockType.GROUP;
        for (int r = 0; r < rows; r++) {
          BlockTile.widen(blocks, row + r, column / BlockType.GROUP, groups, to + r * toStep);
        }
      }
    }
  }

  /** Widens one row of weights to {@code to}. */
  static void widen(WeightMatrix weights, int row, long to) {
    switch (weights) {
      case WeightMatrix.Floats floats -> widen(floats, row, to);
      case WeightMatrix.Q4 q4 -> widenQ4(q4, row, 0, q4.columns(), to);
      case WeightMatrix.Blocks blocks ->
          BlockTile.widen(blocks, row, 0, blocks.columns() / BlockType.GROUP, to);
    }
  }

  private static void widen(WeightMatrix.Floats weights, int row, long to) {
    long rowBytes = (long) weights.columns() * weights.type().bytes();
    widenRows(
        weights.type(),
        weights.segment().address() + row * rowBytes,
        rowBytes,
        1,
        weights.columns(),
        to,
        0);
  }

  /**
   * Widens rows of {@code columns} elements.
   *
   * @param from the first row
   * @param fromStep bytes between rows
   * @param to where the first row goes
   * @param toStep bytes between widened rows
   */
  static void widenRows(
      ElementType type, long from, long fromStep, int rows, int columns, long to, long toStep) {
    int blocks = columns / BLOCK;
    switch (type) {
      case BF16 -> widenBf16(from, fromStep, rows, blocks, to, toStep);
      case F16 -> widenF16(from, fromStep, rows, blocks, to, toStep);
      case F32 -> split(from, fromStep, rows, blocks, to, toStep);
    }
    int rest = columns - blocks * BLOCK;
    if (rest > 0) {
      for (int row = 0; row < rows; row++) {
        long source = from + row * fromStep + (long) blocks * BLOCK * type.bytes();
        long target = to + row * toStep + blocks * BLOCK_BYTES;
        for (int i = 0; i < BLOCK; i++) {
          float value = i < rest ? type.read(ALL, source + (long) i * type.bytes()) : 0;
          ALL.set(ValueLayout.JAVA_FLOAT, target + place(i), value);
        }
      }
    }
  }

  /** Returns the byte offset of element i within a packed block. */
  static long place(int i) {
    return (i & 1) * BYTES + (i >> 1) * 4L;
  }

  static void widenBf16(long from, long fromStep, int rows, int blocks, long to, long toStep) {
    for (int row = 0; row < rows; row++) {
      long source = from + row * fromStep;
      long target = to + row * toStep;
      long end = source + blocks * BYTES;
      for (; source < end; source += BYTES, target += BLOCK_BYTES) {
        long s = source & ADDRESS;
        long t = target & ADDRESS;
        IntVector pairs = IntVector.fromMemorySegment(I, ALL, s, LE);
        pairs.lanewise(VectorOperators.LSHL, 16).intoMemorySegment(ALL, t, LE);
        pairs.and(HIGH_HALF).intoMemorySegment(ALL, t + BYTES, LE);
      }
    }
  }

  /**
   * Binary16 to binary32, exactly and without a branch, in 13 operations a block (an and with an or
   * is one). Exponent and fraction move to their places, and the exponent grows by 224 instead of
   * the 112 by which the formats differ. So infinities and NaNs (31) get the exponent of ones that
   * they must have, and subnormals (0) look like normal numbers g: no operand is subnormal, which
   * would cost a multiplication 150 cycles, and among weights many are. Then g 2^-112 is the value,
   * but for zeros and subnormals, which had no leading one: theirs is 2 g 2^-112 - 2^-14. That is
   * the smaller of the two there and nowhere else, so the smaller one is the value; compared as
   * integers, in one operation instead of the six that a minimum of floats takes.
   *
   * <p>Calls on what reinterpretAsInts returns are inlined late, and then C2 may box vectors: hence
   * the zero, which C2 drops.
   */
  static void widenF16(long from, long fromStep, int rows, int blocks, long to, long toStep) {
    for (int row = 0; row < rows; row++) {
      long source = from + row * fromStep;
      long target = to + row * toStep;
      long end = source + blocks * BYTES;
      for (; source < end; source += BYTES, target += BLOCK_BYTES) {
        long s = source & ADDRESS;
        long t = target & ADDRESS;
        IntVector p = IntVector.fromMemorySegment(I, ALL, s, LE);
        IntVector q = p.lanewise(VectorOperators.LSHL, 16);
        IntVector even = q.lanewise(VectorOperators.LSHR, 3).and(MAGNITUDE).or(EXPONENT);
        FloatVector e = even.reinterpretAsFloats();
        q.broadcast(0)
            .or(NORMAL.mul(e).reinterpretAsInts())
            .min(TWICE.fma(e, SMALLEST).reinterpretAsInts())
            .or(q.and(SIGN))
            .intoMemorySegment(ALL, t, LE);
        IntVector odd = p.lanewise(VectorOperators.LSHR, 3).and(MAGNITUDE).or(EXPONENT);
        FloatVector o = odd.reinterpretAsFloats();
        p.broadcast(0)
            .or(NORMAL.mul(o).reinterpretAsInts())
            .min(TWICE.fma(o, SMALLEST).reinterpretAsInts())
            .or(p.and(SIGN))
            .intoMemorySegment(ALL, t + BYTES, LE);
      }
    }
  }

  /**
   * Widens blocks of binary16 in 10 operations a block instead of 17 and without a branch, if no
   * number is infinite or NaN; subnormals are right but slow. Returns whether that was so;
   * otherwise what was written is void. For keys and values, of which few are that small; among
   * weights many are.
   *
   * <p>The bits are moved to the places of binary32 and the number multiplied by 2^112, exactly. An
   * exponent of ones shows in a pair of numbers at once when one is added to the exponents.
   */
  static boolean widenFiniteF16(long from, int blocks, long to) {
    IntVector special = IntVector.zero(I);
    long end = from + blocks * BYTES;
    for (long s = from, t = to; s < end; s += BYTES, t += BLOCK_BYTES) {
      IntVector pairs = IntVector.fromMemorySegment(I, ALL, s & ADDRESS, LE);
      special = special.or(pairs.and(0x7c007c00).add(0x04000400));
      pairs
          .lanewise(VectorOperators.LSHL, 16)
          .lanewise(VectorOperators.ASHR, 3)
          .and(F16_BITS)
          .reinterpretAsFloats()
          .mul(0x1p112f)
          .intoMemorySegment(ALL, t & ADDRESS, LE);
      pairs
          .lanewise(VectorOperators.ASHR, 3)
          .and(F16_BITS)
          .reinterpretAsFloats()
          .mul(0x1p112f)
          .intoMemorySegment(ALL, t + BYTES & ADDRESS, LE);
    }
    return special.and(0x80008000).compare(VectorOperators.EQ, 0).allTrue();
  }

  /** Splits float32 elements into even and odd vectors. */
  static void split(long from, long fromStep, int rows, int blocks, long to, long toStep) {
    for (int row = 0; row < rows; row++) {
      long source = from + row * fromStep;
      long target = to + row * toStep;
      long end = source + blocks * BLOCK_BYTES;
      for (; source < end; source += BLOCK_BYTES, target += BLOCK_BYTES) {
        long s = source & ADDRESS;
        long t = target & ADDRESS;
        FloatVector low = FloatVector.fromMemorySegment(F, ALL, s, LE);
        FloatVector high = FloatVector.fromMemorySegment(F, ALL, s + BYTES, LE);
        low.rearrange(EVEN, high).intoMemorySegment(ALL, t, LE);
        low.rearrange(ODD, high).intoMemorySegment(ALL, t + BYTES, LE);
      }
    }
  }

  /**
   * Q4 rows hold whole blocks of 32, so whole packed blocks for any width up to 512 bits. With L of
   * 8 or 16, lane i takes bytes 2 (i mod 8) and 2 (i mod 8) + 1 of the block: evens come from the
   * first, odds from the second, and the half of the byte depends on where in the block the lane
   * is.
   */
  private static void widenQ4(
      WeightMatrix.Q4 weights, int row, int firstBlock, int columns, long to) {
    int blocks = columns / WeightMatrix.Q4_BLOCK;
    long skipped = (long) row * (weights.columns() / WeightMatrix.Q4_BLOCK) + firstBlock;
    long nibbles = weights.nibbles().address() + skipped * Q4_BYTES;
    long scales = weights.scales().address() + skipped * Float.BYTES;
    switch (L) {
      case 16 -> widenQ4ByTable(nibbles, scales, blocks, to);
      case 8 -> widenQ4(nibbles, scales, blocks, to);
      default -> widenQ4Scalar(nibbles, scales, blocks, to);
    }
  }

  /** For 16 lanes; see {@link Q4Kernels}. */
  private static void widenQ4ByTable(long nibbles, long scales, int blocks, long to) {
    long end = nibbles + blocks * Q4Kernels.BLOCK_NIBBLES;
    for (long s = nibbles, factor = scales, t = to;
        s < end;
        s += Q4Kernels.BLOCK_NIBBLES, factor += Float.BYTES, t += BLOCK_BYTES) {
      IntVector bytes =
          (IntVector)
              IntVector.fromMemorySegment(IntVector.SPECIES_128, ALL, s & ADDRESS, LE)
                  .reinterpretShape(I, 0);
      IntVector pairs = Q4_SPREAD.selectFrom(bytes).lanewise(VectorOperators.LSHR, Q4_SHIFT);
      IntVector scale =
          IntVector.broadcast(I, ALL.get(ValueLayout.JAVA_INT_UNALIGNED, factor & ADDRESS));
      IntVector values = Q4Kernels.LEVELS.mul(scale.reinterpretAsFloats()).reinterpretAsInts();
      pairs.selectFrom(values).intoMemorySegment(ALL, t & ADDRESS, LE);
      pairs
          .lanewise(VectorOperators.LSHR, 8)
          .selectFrom(values)
          .intoMemorySegment(ALL, t + BYTES & ADDRESS, LE);
    }
  }

  private static void widenQ4(long nibbles, long scales, int blocks, long to) {
    long source = nibbles & ADDRESS;
    long factors = scales & ADDRESS;
    long target = to & ADDRESS;
    for (int i = 0; i < blocks * Q4_PARTS; i++) {
      int b = i / Q4_PARTS;
      float scale = ALL.get(ValueLayout.JAVA_FLOAT_UNALIGNED, factors + b * 4L);
      IntVector bytes =
          (IntVector)
              IntVector.fromMemorySegment(IntVector.SPECIES_128, ALL, source + b * 16L, LE)
                  .reinterpretShape(I, 0);
      IntVector pairs =
          Q4_SPREAD
              .selectFrom(bytes)
              .lanewise(VectorOperators.LSHR, Q4_SHIFT)
              .lanewise(VectorOperators.LSHR, i % Q4_PARTS * 4);
      FloatVector factor = FloatVector.broadcast(F, scale);
      ((FloatVector) pairs.and(15).sub(8).convertShape(VectorOperators.I2F, F, 0))
          .mul(factor)
          .intoMemorySegment(ALL, target + i * BLOCK_BYTES, LE);
      ((FloatVector)
              pairs
                  .lanewise(VectorOperators.LSHR, 8)
                  .and(15)
                  .sub(8)
                  .convertShape(VectorOperators.I2F, F, 0))
          .mul(factor)
          .intoMemorySegment(ALL, target + i * BLOCK_BYTES + BYTES, LE);
    }
  }

  private static void widenQ4Scalar(long nibbles, long scales, int blocks, long to) {
    for (int e = 0; e < blocks * WeightMatrix.Q4_BLOCK; e++) {
      int block = e / WeightMatrix.Q4_BLOCK;
      int within = e % WeightMatrix.Q4_BLOCK;
      int packed = ALL.get(ValueLayout.JAVA_BYTE, nibbles + block * 16L + within % Q4_BYTES);
      int nibble = within < Q4_BYTES ? packed & 15 : packed >> 4 & 15;
      float scale = ALL.get(ValueLayout.JAVA_FLOAT_UNALIGNED, scales + block * 4L);
      ALL.set(
          ValueLayout.JAVA_FLOAT,
          to + e / BLOCK * BLOCK_BYTES + place(e % BLOCK),
          (nibble - 8) * scale);
    }
  }
}
