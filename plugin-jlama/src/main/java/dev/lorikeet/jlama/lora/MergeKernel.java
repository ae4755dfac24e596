package dev.lorikeet.jlama.lora;

import static dev.lorikeet.jlama.kernel.Lanes.BLOCK;
import static dev.lorikeet.jlama.kernel.Lanes.BYTES;
import static dev.lorikeet.jlama.kernel.Lanes.F;
import static dev.lorikeet.jlama.kernel.Lanes.I;
import static dev.lorikeet.jlama.kernel.Lanes.LE;
import static dev.lorikeet.jlama.kernel.NativeMemory.ADDRESS;
import static dev.lorikeet.jlama.kernel.NativeMemory.ALL;
import static dev.lorikeet.jlama.kernel.NativeMemory.FLOAT;
import static jdk.incubator.vector.VectorOperators.GE;
import static jdk.incubator.vector.VectorOperators.GT;
import static jdk.incubator.vector.VectorOperators.LSHL;
import static jdk.incubator.vector.VectorOperators.LSHR;
import static jdk.incubator.vector.VectorOperators.NE;

import dev.lorikeet.jlama.kernel.Lanes;
import dev.lorikeet.jlama.kernel.NativeMemory;
import dev.lorikeet.tensor.ElementType;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;

/** merged[o] = round(pristine[o] + sum over r of c[r][o] * A[r]) for eight rows o at a time. */
final class MergeKernel {
  /*
   * The fused switch of LoRA-Switch (arXiv 2405.17741) for one tile of weights. A tile is eight output rows by CHUNK
   * blocks of columns; its deltas are summed in registers, two vectors by eight rows, over all rows of all adapters' A,
   * which are packed as [block of columns][row of A][2 L floats] so that they stream. An A vector pair serves eight
   * rows: 16 multiply-adds for 10 loads. Then the tile's deltas, still in the first-level cache, are added to the
   * pristine weights and rounded once. Weights are read once and written once; arithmetic is out * in * ranks
   * multiply-adds.
   *
   * Expected for the 212 MB of a 135 M Llama in BF16 on one thread: 26 ms of multiply-adds per rank 16, over 31 ms of
   * copying. Measured on one thread of a shared machine (processor time): 33 ms with no adapter, 75 ms with one, 107 ms
   * with two, of which adding and rounding are 11. Arithmetic and memory add up rather than overlap, since a tile
   * computes while no load is under way.
   *
   * Every delta is a chain of fused multiply-adds over adapters and their rows in order, from 0; the sum with the
   * pristine weight is rounded to F32, then to the nearest of the stored type, ties to even.
   */

  /** Output rows of a tile. */
  static final int ROWS = 8;

  /** Blocks of columns of a tile. */
  static final int CHUNK = 16;

  private static final int NAN = 0x7fc00000;

  private MergeKernel() {}

  /**
   * Sums the deltas of one tile.
   *
   * @param a address of the packed A rows of the tile's first block of columns
   * @param ranks how many rows of A, over all adapters
   * @param c address of the coefficients of the tile's first output, F32, zero past the last output
   * @param step bytes from the coefficients of one row of A to the next one's
   * @param blocks how many blocks of columns, at most {@link #CHUNK}
   * @param delta address of the result, {@code [8, CHUNK]} blocks of F32
   */
  static void delta(long a, int ranks, long c, long step, int blocks, long delta) {
    long row = CHUNK * 2L * BYTES;
    for (int i = 0; i < blocks; i++) {
      FloatVector first0 = FloatVector.zero(F);
      FloatVector second0 = FloatVector.zero(F);
      FloatVector first1 = FloatVector.zero(F);
      FloatVector second1 = FloatVector.zero(F);
      FloatVector first2 = FloatVector.zero(F);
      FloatVector second2 = FloatVector.zero(F);
      FloatVector first3 = FloatVector.zero(F);
      FloatVector second3 = FloatVector.zero(F);
      FloatVector first4 = FloatVector.zero(F);
      FloatVector second4 = FloatVector.zero(F);
      FloatVector first5 = FloatVector.zero(F);
      FloatVector second5 = FloatVector.zero(F);
      FloatVector first6 = FloatVector.zero(F);
      FloatVector second6 = FloatVector.zero(F);
      FloatVector first7 = FloatVector.zero(F);
      FloatVector second7 = FloatVector.zero(F);
      long block = a + (long) i * ranks * 2L * BYTES;
      for (int r = 0; r < ranks; r++) {
        FloatVector first =
            FloatVector.fromMemorySegment(F, ALL, (block + r * 2L * BYTES) & ADDRESS, LE);
        FloatVector second =
            FloatVector.fromMemorySegment(F, ALL, (block + r * 2L * BYTES + BYTES) & ADDRESS, LE);
        long factors = c + r * step;
        FloatVector c0 = FloatVector.broadcast(F, ALL.get(FLOAT, factors & ADDRESS));
        first0 = first.fma(c0, first0);
        second0 = second.fma(c0, second0);
        FloatVector c1 = FloatVector.broadcast(F, ALL.get(FLOAT, (factors + 4) & ADDRESS));
        first1 = first.fma(c1, first1);
        second1 = second.fma(c1, second1);
        FloatVector c2 = FloatVector.broadcast(F, ALL.get(FLOAT, (factors + 8) & ADDRESS));
        first2 = first.fma(c2, first2);
        second2 = second.fma(c2, second2);
        FloatVector c3 = FloatVector.broadcast(F, ALL.get(FLOAT, (factors + 12) & ADDRESS));
        first3 = first.fma(c3, first3);
        second3 = second.fma(c3, second3);
        FloatVector c4 = FloatVector.broadcast(F, ALL.get(FLOAT, (factors + 16) & ADDRESS));
        first4 = first.fma(c4, first4);
        second4 = second.fma(c4, second4);
        FloatVector c5 = FloatVector.broadcast(F, ALL.get(FLOAT, (factors + 20) & ADDRESS));
        first5 = first.fma(c5, first5);
        second5 = second.fma(c5, second5);
        FloatVector c6 = FloatVector.broadcast(F, ALL.get(FLOAT, (factors + 24) & ADDRESS));
        first6 = first.fma(c6, first6);
        second6 = second.fma(c6, second6);
        FloatVector c7 = FloatVector.broadcast(F, ALL.get(FLOAT, (factors + 28) & ADDRESS));
        first7 = first.fma(c7, first7);
        second7 = second.fma(c7, second7);
      }
      long to = delta + i * 2L * BYTES;
      first0.intoMemorySegment(ALL, to & ADDRESS, LE);
      second0.intoMemorySegment(ALL, (to + BYTES) & ADDRESS, LE);
      first1.intoMemorySegment(ALL, (to + row) & ADDRESS, LE);
      second1.intoMemorySegment(ALL, (to + row + BYTES) & ADDRESS, LE);
      first2.intoMemorySegment(ALL, (to + 2 * row) & ADDRESS, LE);
      second2.intoMemorySegment(ALL, (to + 2 * row + BYTES) & ADDRESS, LE);
      first3.intoMemorySegment(ALL, (to + 3 * row) & ADDRESS, LE);
      second3.intoMemorySegment(ALL, (to + 3 * row + BYTES) & ADDRESS, LE);
      first4.intoMemorySegment(ALL, (to + 4 * row) & ADDRESS, LE);
      second4.intoMemorySegment(ALL, (to + 4 * row + BYTES) & ADDRESS, LE);
      first5.intoMemorySegment(ALL, (to + 5 * row) & ADDRESS, LE);
      second5.intoMemorySegment(ALL, (to + 5 * row + BYTES) & ADDRESS, LE);
      first6.intoMemorySegment(ALL, (to + 6 * row) & ADDRESS, LE);
      second6.intoMemorySegment(ALL, (to + 6 * row + BYTES) & ADDRESS, LE);
      first7.intoMemorySegment(ALL, (to + 7 * row) & ADDRESS, LE);
      second7.intoMemorySegment(ALL, (to + 7 * row + BYTES) & ADDRESS, LE);
    }
  }

  /**
   * Adds deltas to pristine weights, rounds, and writes them: one row of a tile.
   *
   * @param pristine address of the first weight of the row in this tile
   * @param delta address of the row's deltas, in the order of blocks that {@code type} asks for
   * @param merged where the weights go
   * @param columns how many weights
   * @param scratch address of scratch for {@code CHUNK + 1} blocks of F32
   */
  static void add(
      ElementType type, long pristine, long delta, long merged, int columns, long scratch) {
    int full = columns / BLOCK;
    int rest = columns - full * BLOCK;
    long done = (long) full * BLOCK * type.bytes();
    long bytes = (long) rest * type.bytes();
    long wide = scratch + 2L * BYTES;
    if (rest > 0) {
      Lanes.zeroBlocks(scratch, 1);
      NativeMemory.copy(pristine + done, scratch, bytes);
    }
    addBlocks(type, pristine, delta, merged, full, wide);
    if (rest > 0) {
      addBlocks(type, scratch, delta + full * 2L * BYTES, scratch, 1, wide);
      NativeMemory.copy(scratch, merged + done, bytes);
    }
  }

  private static void addBlocks(
      ElementType type, long pristine, long delta, long merged, int blocks, long wide) {
    switch (type) {
      case F32 -> addFloat32(pristine, delta, merged, blocks);
      case BF16 -> addBfloat16(pristine, delta, merged, blocks);
      case F16 -> {
        RowPacking.pack(type, pristine, blocks * BLOCK, wide, 2L * BYTES, true, wide);
        roundToFloat16(wide, delta, blocks);
        joinFloat16(wide, merged, blocks);
      }
    }
  }

  private static void addFloat32(long pristine, long delta, long merged, int blocks) {
    for (int i = 0; i < 2 * blocks; i++) {
      long v = (long) i * BYTES;
      FloatVector before = FloatVector.fromMemorySegment(F, ALL, (pristine + v) & ADDRESS, LE);
      FloatVector change = FloatVector.fromMemorySegment(F, ALL, (delta + v) & ADDRESS, LE);
      before.add(change).intoMemorySegment(ALL, (merged + v) & ADDRESS, LE);
    }
  }

  private static void addBfloat16(long pristine, long delta, long merged, int blocks) {
    for (int i = 0; i < blocks; i++) {
      long v = i * 2L * BYTES;
      IntVector pairs =
          IntVector.fromMemorySegment(I, ALL, (pristine + (long) i * BYTES) & ADDRESS, LE);
      FloatVector evenChange = FloatVector.fromMemorySegment(F, ALL, (delta + v) & ADDRESS, LE);
      FloatVector oddChange =
          FloatVector.fromMemorySegment(F, ALL, (delta + v + BYTES) & ADDRESS, LE);
      FloatVector even = pairs.lanewise(LSHL, 16).reinterpretAsFloats().add(evenChange);
      FloatVector odd = pairs.and(0xffff0000).reinterpretAsFloats().add(oddChange);
      IntVector e = even.reinterpretAsInts();
      IntVector o = odd.reinterpretAsInts();
      IntVector evenRounded =
          e.add(0x7fff).add(e.lanewise(LSHR, 16).and(1)).blend(NAN, even.compare(NE, even).cast(I));
      IntVector oddRounded =
          o.add(0x7fff).add(o.lanewise(LSHR, 16).and(1)).blend(NAN, odd.compare(NE, odd).cast(I));
      IntVector both = evenRounded.lanewise(LSHR, 16).or(oddRounded.and(0xffff0000));
      both.intoMemorySegment(ALL, (merged + (long) i * BYTES) & ADDRESS, LE);
    }
  }

  /*
   * A normal result is rounded in the integers. Below 2^-14 adding 0.5 moves the unit in the last
   * place of F32 to 2^-24, that of subnormal F16, and the addition rounds.
   */
  private static void roundToFloat16(long wide, long delta, int blocks) {
    for (int i = 0; i < 2 * blocks; i++) {
      long v = (long) i * BYTES;
      FloatVector before = FloatVector.fromMemorySegment(F, ALL, (wide + v) & ADDRESS, LE);
      FloatVector change = FloatVector.fromMemorySegment(F, ALL, (delta + v) & ADDRESS, LE);
      IntVector bits = before.add(change).reinterpretAsInts();
      IntVector magnitude = bits.and(0x7fffffff);
      IntVector normal =
          magnitude
              .add(0xfff - (112 << 23))
              .add(magnitude.lanewise(LSHR, 13).and(1))
              .lanewise(LSHR, 13);
      IntVector subnormal =
          magnitude.reinterpretAsFloats().add(0.5f).reinterpretAsInts().sub(126 << 23);
      IntVector rounded =
          normal
              .blend(subnormal, magnitude.lt(113 << 23))
              .blend(0x7c00, magnitude.compare(GE, 143 << 23))
              .blend(0x7e00, magnitude.compare(GT, 0x7f800000))
              .or(bits.lanewise(LSHR, 16).and(0x8000));
      rounded.intoMemorySegment(ALL, (wide + v) & ADDRESS, LE);
    }
  }

  private static void joinFloat16(long wide, long merged, int blocks) {
    for (int i = 0; i < blocks; i++) {
      long v = i * 2L * BYTES;
      IntVector even = IntVector.fromMemorySegment(I, ALL, (wide + v) & ADDRESS, LE);
      IntVector odd = IntVector.fromMemorySegment(I, ALL, (wide + v + BYTES) & ADDRESS, LE);
      even.or(odd.lanewise(LSHL, 16))
          .intoMemorySegment(ALL, (merged + (long) i * BYTES) & ADDRESS, LE);
    }
  }

  /** Multiplies blocks of F32 in place. */
  static void scale(long address, int blocks, float factor) {
    for (int i = 0; i < 2 * blocks; i++) {
      long v = address + (long) i * BYTES;
      FloatVector value = FloatVector.fromMemorySegment(F, ALL, v & ADDRESS, LE);
      value.mul(factor).intoMemorySegment(ALL, v & ADDRESS, LE);
    }
  }
}
