package dev.lorikeet.jlama.lora;

import static dev.lorikeet.jlama.kernel.Lanes.BYTES;
import static dev.lorikeet.jlama.kernel.Lanes.F;
import static dev.lorikeet.jlama.kernel.Lanes.I;
import static dev.lorikeet.jlama.kernel.Lanes.LE;
import static dev.lorikeet.jlama.kernel.NativeMemory.ADDRESS;
import static dev.lorikeet.jlama.kernel.NativeMemory.ALL;
import static dev.lorikeet.jlama.kernel.NativeMemory.FLOAT;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorOperators;

/**
 * The inner loops of {@link ExpandKernel}: sums += factor * row, for one or four rows and one or
 * four tokens, over whole blocks.
 */
final class ExpandLoops {
  /** The most rows at once. */
  static final int ROWS = 4;

  private static final int TOKENS = 4;

  private ExpandLoops() {}

  /**
   * Adds multiples of one or four rows to the sums of one to four tokens.
   *
   * @param narrow whether rows are BF16, else F32
   * @param v address of the factors of the first token
   * @param apart bytes from the factor of one of the rows to that of the next
   * @param stride bytes to the factors of the next token
   * @param sums address of the sums of the first token
   * @param step bytes to the sums of the next token
   */
  static void add(
      boolean narrow,
      int rows,
      long a,
      long b,
      long c,
      long d,
      int blocks,
      int tokens,
      long v,
      long apart,
      long stride,
      long sums,
      long step) {
    if (rows == ROWS && tokens == TOKENS) {
      if (narrow) {
        bfloat16Rows4By4(a, b, c, d, blocks, v, apart, stride, sums, step);
      } else {
        float32Rows4By4(a, b, c, d, blocks, v, apart, stride, sums, step);
      }
      return;
    }
    for (int t = 0; t < tokens; t++) {
      if (rows == ROWS) {
        if (narrow) {
          bfloat16Rows4By1(a, b, c, d, blocks, v + t * stride, apart, sums + t * step);
        } else {
          float32Rows4By1(a, b, c, d, blocks, v + t * stride, apart, sums + t * step);
        }
      } else if (narrow) {
        bfloat16Rows1By1(a, blocks, v + t * stride, sums + t * step);
      } else {
        float32Rows1By1(a, blocks, v + t * stride, sums + t * step);
      }
    }
  }

  private static void bfloat16Rows1By1(long a, int blocks, long factors, long sums) {
    FloatVector a0 = FloatVector.broadcast(F, ALL.get(FLOAT, factors & ADDRESS));
    long end = blocks * BYTES;
    for (long w = 0, v = 0; w < end; w += BYTES, v += 2L * BYTES) {
      IntVector aw = IntVector.fromMemorySegment(I, ALL, (a + w) & ADDRESS, LE);
      FloatVector aFirst = aw.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats();
      FloatVector aSecond = aw.and(0xffff0000).reinterpretAsFloats();
      FloatVector first0 = FloatVector.fromMemorySegment(F, ALL, (sums + v) & ADDRESS, LE);
      first0 = aFirst.fma(a0, first0);
      first0.intoMemorySegment(ALL, (sums + v) & ADDRESS, LE);
      FloatVector second0 = FloatVector.fromMemorySegment(F, ALL, (sums + v + BYTES) & ADDRESS, LE);
      second0 = aSecond.fma(a0, second0);
      second0.intoMemorySegment(ALL, (sums + v + BYTES) & ADDRESS, LE);
    }
  }

  private static void bfloat16Rows4By1(
      long a, long b, long c, long d, int blocks, long factors, long apart, long sums) {
    FloatVector a0 = FloatVector.broadcast(F, ALL.get(FLOAT, factors & ADDRESS));
    FloatVector b0 = FloatVector.broadcast(F, ALL.get(FLOAT, (factors + apart) & ADDRESS));
    FloatVector c0 = FloatVector.broadcast(F, ALL.get(FLOAT, (factors + 2 * apart) & ADDRESS));
    FloatVector d0 = FloatVector.broadcast(F, ALL.get(FLOAT, (factors + 3 * apart) & ADDRESS));
    long end = blocks * BYTES;
    for (long w = 0, v = 0; w < end; w += BYTES, v += 2L * BYTES) {
      IntVector aw = IntVector.fromMemorySegment(I, ALL, (a + w) & ADDRESS, LE);
      FloatVector aFirst = aw.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats();
      FloatVector aSecond = aw.and(0xffff0000).reinterpretAsFloats();
      IntVector bw = IntVector.fromMemorySegment(I, ALL, (b + w) & ADDRESS, LE);
      FloatVector bFirst = bw.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats();
      FloatVector bSecond = bw.and(0xffff0000).reinterpretAsFloats();
      IntVector cw = IntVector.fromMemorySegment(I, ALL, (c + w) & ADDRESS, LE);
      FloatVector cFirst = cw.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats();
      FloatVector cSecond = cw.and(0xffff0000).reinterpretAsFloats();
      IntVector dw = IntVector.fromMemorySegment(I, ALL, (d + w) & ADDRESS, LE);
      FloatVector dFirst = dw.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats();
      FloatVector dSecond = dw.and(0xffff0000).reinterpretAsFloats();
      FloatVector first0 = FloatVector.fromMemorySegment(F, ALL, (sums + v) & ADDRESS, LE);
      first0 = aFirst.fma(a0, first0);
      first0 = bFirst.fma(b0, first0);
      first0 = cFirst.fma(c0, first0);
      first0 = dFirst.fma(d0, first0);
      first0.intoMemorySegment(ALL, (sums + v) & ADDRESS, LE);
      FloatVector second0 = FloatVector.fromMemorySegment(F, ALL, (sums + v + BYTES) & ADDRESS, LE);
      second0 = aSecond.fma(a0, second0);
      second0 = bSecond.fma(b0, second0);
      second0 = cSecond.fma(c0, second0);
      second0 = dSecond.fma(d0, second0);
      second0.intoMemorySegment(ALL, (sums + v + BYTES) & ADDRESS, LE);
    }
  }

  private static void bfloat16Rows4By4(
      long a,
      long b,
      long c,
      long d,
      int blocks,
      long factors,
      long apart,
      long stride,
      long sums,
      long step) {
    FloatVector a0 = FloatVector.broadcast(F, ALL.get(FLOAT, factors & ADDRESS));
    FloatVector b0 = FloatVector.broadcast(F, ALL.get(FLOAT, (factors + apart) & ADDRESS));
    FloatVector c0 = FloatVector.broadcast(F, ALL.get(FLOAT, (factors + 2 * apart) & ADDRESS));
    FloatVector d0 = FloatVector.broadcast(F, ALL.get(FLOAT, (factors + 3 * apart) & ADDRESS));
    FloatVector a1 = FloatVector.broadcast(F, ALL.get(FLOAT, (factors + stride) & ADDRESS));
    FloatVector b1 = FloatVector.broadcast(F, ALL.get(FLOAT, (factors + stride + apart) & ADDRESS));
    FloatVector c1 =
        FloatVector.broadcast(F, ALL.get(FLOAT, (factors + stride + 2 * apart) & ADDRESS));
    FloatVector d1 =
        FloatVector.broadcast(F, ALL.get(FLOAT, (factors + stride + 3 * apart) & ADDRESS));
    FloatVector a2 = FloatVector.broadcast(F, ALL.get(FLOAT, (factors + 2 * stride) & ADDRESS));
    FloatVector b2 =
        FloatVector.broadcast(F, ALL.get(FLOAT, (factors + 2 * stride + apart) & ADDRESS));
    FloatVector c2 =
        FloatVector.broadcast(F, ALL.get(FLOAT, (factors + 2 * stride + 2 * apart) & ADDRESS));
    FloatVector d2 =
        FloatVector.broadcast(F, ALL.get(FLOAT, (factors + 2 * stride + 3 * apart) & ADDRESS));
    FloatVector a3 = FloatVector.broadcast(F, ALL.get(FLOAT, (factors + 3 * stride) & ADDRESS));
    FloatVector b3 =
        FloatVector.broadcast(F, ALL.get(FLOAT, (factors + 3 * stride + apart) & ADDRESS));
    FloatVector c3 =
        FloatVector.broadcast(F, ALL.get(FLOAT, (factors + 3 * stride + 2 * apart) & ADDRESS));
    FloatVector d3 =
        FloatVector.broadcast(F, ALL.get(FLOAT, (factors + 3 * stride + 3 * apart) & ADDRESS));
    long y1 = sums + step;
    long y2 = sums + 2 * step;
    long y3 = sums + 3 * step;
    long end = blocks * BYTES;
    for (long w = 0, v = 0; w < end; w += BYTES, v += 2L * BYTES) {
      IntVector aw = IntVector.fromMemorySegment(I, ALL, (a + w) & ADDRESS, LE);
      FloatVector aFirst = aw.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats();
      FloatVector aSecond = aw.and(0xffff0000).reinterpretAsFloats();
      IntVector bw = IntVector.fromMemorySegment(I, ALL, (b + w) & ADDRESS, LE);
      FloatVector bFirst = bw.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats();
      FloatVector bSecond = bw.and(0xffff0000).reinterpretAsFloats();
      IntVector cw = IntVector.fromMemorySegment(I, ALL, (c + w) & ADDRESS, LE);
      FloatVector cFirst = cw.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats();
      FloatVector cSecond = cw.and(0xffff0000).reinterpretAsFloats();
      IntVector dw = IntVector.fromMemorySegment(I, ALL, (d + w) & ADDRESS, LE);
      FloatVector dFirst = dw.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats();
      FloatVector dSecond = dw.and(0xffff0000).reinterpretAsFloats();
      FloatVector first0 = FloatVector.fromMemorySegment(F, ALL, (sums + v) & ADDRESS, LE);
      first0 = aFirst.fma(a0, first0);
      first0 = bFirst.fma(b0, first0);
      first0 = cFirst.fma(c0, first0);
      first0 = dFirst.fma(d0, first0);
      first0.intoMemorySegment(ALL, (sums + v) & ADDRESS, LE);
      FloatVector second0 = FloatVector.fromMemorySegment(F, ALL, (sums + v + BYTES) & ADDRESS, LE);
      second0 = aSecond.fma(a0, second0);
      second0 = bSecond.fma(b0, second0);
      second0 = cSecond.fma(c0, second0);
      second0 = dSecond.fma(d0, second0);
      second0.intoMemorySegment(ALL, (sums + v + BYTES) & ADDRESS, LE);
      FloatVector first1 = FloatVector.fromMemorySegment(F, ALL, (y1 + v) & ADDRESS, LE);
      first1 = aFirst.fma(a1, first1);
      first1 = bFirst.fma(b1, first1);
      first1 = cFirst.fma(c1, first1);
      first1 = dFirst.fma(d1, first1);
      first1.intoMemorySegment(ALL, (y1 + v) & ADDRESS, LE);
      FloatVector second1 = FloatVector.fromMemorySegment(F, ALL, (y1 + v + BYTES) & ADDRESS, LE);
      second1 = aSecond.fma(a1, second1);
      second1 = bSecond.fma(b1, second1);
      second1 = cSecond.fma(c1, second1);
      second1 = dSecond.fma(d1, second1);
      second1.intoMemorySegment(ALL, (y1 + v + BYTES) & ADDRESS, LE);
      FloatVector first2 = FloatVector.fromMemorySegment(F, ALL, (y2 + v) & ADDRESS, LE);
      first2 = aFirst.fma(a2, first2);
      first2 = bFirst.fma(b2, first2);
      first2 = cFirst.fma(c2, first2);
      first2 = dFirst.fma(d2, first2);
      first2.intoMemorySegment(ALL, (y2 + v) & ADDRESS, LE);
      FloatVector second2 = FloatVector.fromMemorySegment(F, ALL, (y2 + v + BYTES) & ADDRESS, LE);
      second2 = aSecond.fma(a2, second2);
      second2 = bSecond.fma(b2, second2);
      second2 = cSecond.fma(c2, second2);
      second2 = dSecond.fma(d2, second2);
      second2.intoMemorySegment(ALL, (y2 + v + BYTES) & ADDRESS, LE);
      FloatVector first3 = FloatVector.fromMemorySegment(F, ALL, (y3 + v) & ADDRESS, LE);
      first3 = aFirst.fma(a3, first3);
      first3 = bFirst.fma(b3, first3);
      first3 = cFirst.fma(c3, first3);
      first3 = dFirst.fma(d3, first3);
      first3.intoMemorySegment(ALL, (y3 + v) & ADDRESS, LE);
      FloatVector second3 = FloatVector.fromMemorySegment(F, ALL, (y3 + v + BYTES) & ADDRESS, LE);
      second3 = aSecond.fma(a3, second3);
      second3 = bSecond.fma(b3, second3);
      second3 = cSecond.fma(c3, second3);
      second3 = dSecond.fma(d3, second3);
      second3.intoMemorySegment(ALL, (y3 + v + BYTES) & ADDRESS, LE);
    }
  }

  private static void float32Rows1By1(long a, int blocks, long factors, long sums) {
    FloatVector a0 = FloatVector.broadcast(F, ALL.get(FLOAT, factors & ADDRESS));
    long end = blocks * 2L * BYTES;
    for (long w = 0, v = 0; w < end; w += 2L * BYTES, v += 2L * BYTES) {
      FloatVector aFirst = FloatVector.fromMemorySegment(F, ALL, (a + w) & ADDRESS, LE);
      FloatVector aSecond = FloatVector.fromMemorySegment(F, ALL, (a + w + BYTES) & ADDRESS, LE);
      FloatVector first0 = FloatVector.fromMemorySegment(F, ALL, (sums + v) & ADDRESS, LE);
      first0 = aFirst.fma(a0, first0);
      first0.intoMemorySegment(ALL, (sums + v) & ADDRESS, LE);
      FloatVector second0 = FloatVector.fromMemorySegment(F, ALL, (sums + v + BYTES) & ADDRESS, LE);
      second0 = aSecond.fma(a0, second0);
      second0.intoMemorySegment(ALL, (sums + v + BYTES) & ADDRESS, LE);
    }
  }

  private static void float32Rows4By1(
      long a, long b, long c, long d, int blocks, long factors, long apart, long sums) {
    FloatVector a0 = FloatVector.broadcast(F, ALL.get(FLOAT, factors & ADDRESS));
    FloatVector b0 = FloatVector.broadcast(F, ALL.get(FLOAT, (factors + apart) & ADDRESS));
    FloatVector c0 = FloatVector.broadcast(F, ALL.get(FLOAT, (factors + 2 * apart) & ADDRESS));
    FloatVector d0 = FloatVector.broadcast(F, ALL.get(FLOAT, (factors + 3 * apart) & ADDRESS));
    long end = blocks * 2L * BYTES;
    for (long w = 0, v = 0; w < end; w += 2L * BYTES, v += 2L * BYTES) {
      FloatVector aFirst = FloatVector.fromMemorySegment(F, ALL, (a + w) & ADDRESS, LE);
      FloatVector aSecond = FloatVector.fromMemorySegment(F, ALL, (a + w + BYTES) & ADDRESS, LE);
      FloatVector bFirst = FloatVector.fromMemorySegment(F, ALL, (b + w) & ADDRESS, LE);
      FloatVector bSecond = FloatVector.fromMemorySegment(F, ALL, (b + w + BYTES) & ADDRESS, LE);
      FloatVector cFirst = FloatVector.fromMemorySegment(F, ALL, (c + w) & ADDRESS, LE);
      FloatVector cSecond = FloatVector.fromMemorySegment(F, ALL, (c + w + BYTES) & ADDRESS, LE);
      FloatVector dFirst = FloatVector.fromMemorySegment(F, ALL, (d + w) & ADDRESS, LE);
      FloatVector dSecond = FloatVector.fromMemorySegment(F, ALL, (d + w + BYTES) & ADDRESS, LE);
      FloatVector first0 = FloatVector.fromMemorySegment(F, ALL, (sums + v) & ADDRESS, LE);
      first0 = aFirst.fma(a0, first0);
      first0 = bFirst.fma(b0, first0);
      first0 = cFirst.fma(c0, first0);
      first0 = dFirst.fma(d0, first0);
      first0.intoMemorySegment(ALL, (sums + v) & ADDRESS, LE);
      FloatVector second0 = FloatVector.fromMemorySegment(F, ALL, (sums + v + BYTES) & ADDRESS, LE);
      second0 = aSecond.fma(a0, second0);
      second0 = bSecond.fma(b0, second0);
      second0 = cSecond.fma(c0, second0);
      second0 = dSecond.fma(d0, second0);
      second0.intoMemorySegment(ALL, (sums + v + BYTES) & ADDRESS, LE);
    }
  }

  private static void float32Rows4By4(
      long a,
      long b,
      long c,
      long d,
      int blocks,
      long factors,
      long apart,
      long stride,
      long sums,
      long step) {
    FloatVector a0 = FloatVector.broadcast(F, ALL.get(FLOAT, factors & ADDRESS));
    FloatVector b0 = FloatVector.broadcast(F, ALL.get(FLOAT, (factors + apart) & ADDRESS));
    FloatVector c0 = FloatVector.broadcast(F, ALL.get(FLOAT, (factors + 2 * apart) & ADDRESS));
    FloatVector d0 = FloatVector.broadcast(F, ALL.get(FLOAT, (factors + 3 * apart) & ADDRESS));
    FloatVector a1 = FloatVector.broadcast(F, ALL.get(FLOAT, (factors + stride) & ADDRESS));
    FloatVector b1 = FloatVector.broadcast(F, ALL.get(FLOAT, (factors + stride + apart) & ADDRESS));
    FloatVector c1 =
        FloatVector.broadcast(F, ALL.get(FLOAT, (factors + stride + 2 * apart) & ADDRESS));
    FloatVector d1 =
        FloatVector.broadcast(F, ALL.get(FLOAT, (factors + stride + 3 * apart) & ADDRESS));
    FloatVector a2 = FloatVector.broadcast(F, ALL.get(FLOAT, (factors + 2 * stride) & ADDRESS));
    FloatVector b2 =
        FloatVector.broadcast(F, ALL.get(FLOAT, (factors + 2 * stride + apart) & ADDRESS));
    FloatVector c2 =
        FloatVector.broadcast(F, ALL.get(FLOAT, (factors + 2 * stride + 2 * apart) & ADDRESS));
    FloatVector d2 =
        FloatVector.broadcast(F, ALL.get(FLOAT, (factors + 2 * stride + 3 * apart) & ADDRESS));
    FloatVector a3 = FloatVector.broadcast(F, ALL.get(FLOAT, (factors + 3 * stride) & ADDRESS));
    FloatVector b3 =
        FloatVector.broadcast(F, ALL.get(FLOAT, (factors + 3 * stride + apart) & ADDRESS));
    FloatVector c3 =
        FloatVector.broadcast(F, ALL.get(FLOAT, (factors + 3 * stride + 2 * apart) & ADDRESS));
    FloatVector d3 =
        FloatVector.broadcast(F, ALL.get(FLOAT, (factors + 3 * stride + 3 * apart) & ADDRESS));
    long y1 = sums + step;
    long y2 = sums + 2 * step;
    long y3 = sums + 3 * step;
    long end = blocks * 2L * BYTES;
    for (long w = 0, v = 0; w < end; w += 2L * BYTES, v += 2L * BYTES) {
      FloatVector aFirst = FloatVector.fromMemorySegment(F, ALL, (a + w) & ADDRESS, LE);
      FloatVector aSecond = FloatVector.fromMemorySegment(F, ALL, (a + w + BYTES) & ADDRESS, LE);
      FloatVector bFirst = FloatVector.fromMemorySegment(F, ALL, (b + w) & ADDRESS, LE);
      FloatVector bSecond = FloatVector.fromMemorySegment(F, ALL, (b + w + BYTES) & ADDRESS, LE);
      FloatVector cFirst = FloatVector.fromMemorySegment(F, ALL, (c + w) & ADDRESS, LE);
      FloatVector cSecond = FloatVector.fromMemorySegment(F, ALL, (c + w + BYTES) & ADDRESS, LE);
      FloatVector dFirst = FloatVector.fromMemorySegment(F, ALL, (d + w) & ADDRESS, LE);
      FloatVector dSecond = FloatVector.fromMemorySegment(F, ALL, (d + w + BYTES) & ADDRESS, LE);
      FloatVector first0 = FloatVector.fromMemorySegment(F, ALL, (sums + v) & ADDRESS, LE);
      first0 = aFirst.fma(a0, first0);
      first0 = bFirst.fma(b0, first0);
      first0 = cFirst.fma(c0, first0);
      first0 = dFirst.fma(d0, first0);
      first0.intoMemorySegment(ALL, (sums + v) & ADDRESS, LE);
      FloatVector second0 = FloatVector.fromMemorySegment(F, ALL, (sums + v + BYTES) & ADDRESS, LE);
      second0 = aSecond.fma(a0, second0);
      second0 = bSecond.fma(b0, second0);
      second0 = cSecond.fma(c0, second0);
      second0 = dSecond.fma(d0, second0);
      second0.intoMemorySegment(ALL, (sums + v + BYTES) & ADDRESS, LE);
      FloatVector first1 = FloatVector.fromMemorySegment(F, ALL, (y1 + v) & ADDRESS, LE);
      first1 = aFirst.fma(a1, first1);
      first1 = bFirst.fma(b1, first1);
      first1 = cFirst.fma(c1, first1);
      first1 = dFirst.fma(d1, first1);
      first1.intoMemorySegment(ALL, (y1 + v) & ADDRESS, LE);
      FloatVector second1 = FloatVector.fromMemorySegment(F, ALL, (y1 + v + BYTES) & ADDRESS, LE);
      second1 = aSecond.fma(a1, second1);
      second1 = bSecond.fma(b1, second1);
      second1 = cSecond.fma(c1, second1);
      second1 = dSecond.fma(d1, second1);
      second1.intoMemorySegment(ALL, (y1 + v + BYTES) & ADDRESS, LE);
      FloatVector first2 = FloatVector.fromMemorySegment(F, ALL, (y2 + v) & ADDRESS, LE);
      first2 = aFirst.fma(a2, first2);
      first2 = bFirst.fma(b2, first2);
      first2 = cFirst.fma(c2, first2);
      first2 = dFirst.fma(d2, first2);
      first2.intoMemorySegment(ALL, (y2 + v) & ADDRESS, LE);
      FloatVector second2 = FloatVector.fromMemorySegment(F, ALL, (y2 + v + BYTES) & ADDRESS, LE);
      second2 = aSecond.fma(a2, second2);
      second2 = bSecond.fma(b2, second2);
      second2 = cSecond.fma(c2, second2);
      second2 = dSecond.fma(d2, second2);
      second2.intoMemorySegment(ALL, (y2 + v + BYTES) & ADDRESS, LE);
      FloatVector first3 = FloatVector.fromMemorySegment(F, ALL, (y3 + v) & ADDRESS, LE);
      first3 = aFirst.fma(a3, first3);
      first3 = bFirst.fma(b3, first3);
      first3 = cFirst.fma(c3, first3);
      first3 = dFirst.fma(d3, first3);
      first3.intoMemorySegment(ALL, (y3 + v) & ADDRESS, LE);
      FloatVector second3 = FloatVector.fromMemorySegment(F, ALL, (y3 + v + BYTES) & ADDRESS, LE);
      second3 = aSecond.fma(a3, second3);
      second3 = bSecond.fma(b3, second3);
      second3 = cSecond.fma(c3, second3);
      second3 = dSecond.fma(d3, second3);
      second3.intoMemorySegment(ALL, (y3 + v + BYTES) & ADDRESS, LE);
    }
  }
}
