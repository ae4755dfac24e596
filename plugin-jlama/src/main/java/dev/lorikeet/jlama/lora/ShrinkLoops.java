package dev.lorikeet.jlama.lora;

import static dev.lorikeet.jlama.kernel.Lanes.BYTES;
import static dev.lorikeet.jlama.kernel.Lanes.F;
import static dev.lorikeet.jlama.kernel.Lanes.I;
import static dev.lorikeet.jlama.kernel.Lanes.LE;
import static dev.lorikeet.jlama.kernel.NativeMemory.ADDRESS;
import static dev.lorikeet.jlama.kernel.NativeMemory.ALL;

import dev.lorikeet.jlama.kernel.Lanes;
import dev.lorikeet.tensor.ElementType;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorOperators;

/** The inner loops of {@link ShrinkKernel}: four rows against one or four tokens. */
final class ShrinkLoops {
  private ShrinkLoops() {}

  /**
   * Multiplies four rows with packed inputs, over whole blocks.
   *
   * @param type BF16, or F32 in the order of the inputs
   * @param x address of the first token's packed input
   * @param stride bytes to the next token's
   * @param sums address of the results: four vectors per token, summed as {@link Lanes#sumFour}
   *     says
   */
  static void multiply(
      ElementType type,
      long a,
      long b,
      long c,
      long d,
      int blocks,
      long x,
      long stride,
      int tokens,
      long sums) {
    boolean narrow = type == ElementType.BF16;
    int t = 0;
    for (; t + 4 <= tokens; t += 4) {
      if (narrow) {
        bfloat16By4(a, b, c, d, x + t * stride, stride, blocks, sums + 4L * t * BYTES);
      } else {
        float32By4(a, b, c, d, x + t * stride, stride, blocks, sums + 4L * t * BYTES);
      }
    }
    for (; t < tokens; t++) {
      if (narrow) {
        bfloat16By1(a, b, c, d, x + t * stride, blocks, sums + 4L * t * BYTES);
      } else {
        float32By1(a, b, c, d, x + t * stride, blocks, sums + 4L * t * BYTES);
      }
    }
    for (int done = 0; done < tokens; done++) {
      Lanes.sumFour(sums + 4L * done * BYTES);
    }
  }

  private static void bfloat16By1(long a, long b, long c, long d, long x, int blocks, long sums) {
    FloatVector a0 = FloatVector.zero(F);
    FloatVector b0 = FloatVector.zero(F);
    FloatVector c0 = FloatVector.zero(F);
    FloatVector d0 = FloatVector.zero(F);
    long end = blocks * BYTES;
    for (long w = 0, v = 0; w < end; w += BYTES, v += 2L * BYTES) {
      FloatVector first0 = FloatVector.fromMemorySegment(F, ALL, (x + v) & ADDRESS, LE);
      FloatVector second0 = FloatVector.fromMemorySegment(F, ALL, (x + v + BYTES) & ADDRESS, LE);
      IntVector aw = IntVector.fromMemorySegment(I, ALL, (a + w) & ADDRESS, LE);
      FloatVector aEven = aw.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats();
      FloatVector aOdd = aw.and(0xffff0000).reinterpretAsFloats();
      a0 = aOdd.fma(second0, aEven.fma(first0, a0));
      IntVector bw = IntVector.fromMemorySegment(I, ALL, (b + w) & ADDRESS, LE);
      FloatVector bEven = bw.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats();
      FloatVector bOdd = bw.and(0xffff0000).reinterpretAsFloats();
      b0 = bOdd.fma(second0, bEven.fma(first0, b0));
      IntVector cw = IntVector.fromMemorySegment(I, ALL, (c + w) & ADDRESS, LE);
      FloatVector cEven = cw.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats();
      FloatVector cOdd = cw.and(0xffff0000).reinterpretAsFloats();
      c0 = cOdd.fma(second0, cEven.fma(first0, c0));
      IntVector dw = IntVector.fromMemorySegment(I, ALL, (d + w) & ADDRESS, LE);
      FloatVector dEven = dw.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats();
      FloatVector dOdd = dw.and(0xffff0000).reinterpretAsFloats();
      d0 = dOdd.fma(second0, dEven.fma(first0, d0));
    }
    a0.intoMemorySegment(ALL, sums & ADDRESS, LE);
    b0.intoMemorySegment(ALL, (sums + 1L * BYTES) & ADDRESS, LE);
    c0.intoMemorySegment(ALL, (sums + 2L * BYTES) & ADDRESS, LE);
    d0.intoMemorySegment(ALL, (sums + 3L * BYTES) & ADDRESS, LE);
  }

  private static void bfloat16By4(
      long a, long b, long c, long d, long x, long stride, int blocks, long sums) {
    FloatVector a0 = FloatVector.zero(F);
    FloatVector b0 = FloatVector.zero(F);
    FloatVector c0 = FloatVector.zero(F);
    FloatVector d0 = FloatVector.zero(F);
    FloatVector a1 = FloatVector.zero(F);
    FloatVector b1 = FloatVector.zero(F);
    FloatVector c1 = FloatVector.zero(F);
    FloatVector d1 = FloatVector.zero(F);
    FloatVector a2 = FloatVector.zero(F);
    FloatVector b2 = FloatVector.zero(F);
    FloatVector c2 = FloatVector.zero(F);
    FloatVector d2 = FloatVector.zero(F);
    FloatVector a3 = FloatVector.zero(F);
    FloatVector b3 = FloatVector.zero(F);
    FloatVector c3 = FloatVector.zero(F);
    FloatVector d3 = FloatVector.zero(F);
    long x1 = x + stride;
    long x2 = x + 2 * stride;
    long x3 = x + 3 * stride;
    long end = blocks * BYTES;
    for (long w = 0, v = 0; w < end; w += BYTES, v += 2L * BYTES) {
      FloatVector first0 = FloatVector.fromMemorySegment(F, ALL, (x + v) & ADDRESS, LE);
      FloatVector second0 = FloatVector.fromMemorySegment(F, ALL, (x + v + BYTES) & ADDRESS, LE);
      FloatVector first1 = FloatVector.fromMemorySegment(F, ALL, (x1 + v) & ADDRESS, LE);
      FloatVector second1 = FloatVector.fromMemorySegment(F, ALL, (x1 + v + BYTES) & ADDRESS, LE);
      FloatVector first2 = FloatVector.fromMemorySegment(F, ALL, (x2 + v) & ADDRESS, LE);
      FloatVector second2 = FloatVector.fromMemorySegment(F, ALL, (x2 + v + BYTES) & ADDRESS, LE);
      FloatVector first3 = FloatVector.fromMemorySegment(F, ALL, (x3 + v) & ADDRESS, LE);
      FloatVector second3 = FloatVector.fromMemorySegment(F, ALL, (x3 + v + BYTES) & ADDRESS, LE);
      IntVector aw = IntVector.fromMemorySegment(I, ALL, (a + w) & ADDRESS, LE);
      FloatVector aEven = aw.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats();
      FloatVector aOdd = aw.and(0xffff0000).reinterpretAsFloats();
      a0 = aOdd.fma(second0, aEven.fma(first0, a0));
      a1 = aOdd.fma(second1, aEven.fma(first1, a1));
      a2 = aOdd.fma(second2, aEven.fma(first2, a2));
      a3 = aOdd.fma(second3, aEven.fma(first3, a3));
      IntVector bw = IntVector.fromMemorySegment(I, ALL, (b + w) & ADDRESS, LE);
      FloatVector bEven = bw.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats();
      FloatVector bOdd = bw.and(0xffff0000).reinterpretAsFloats();
      b0 = bOdd.fma(second0, bEven.fma(first0, b0));
      b1 = bOdd.fma(second1, bEven.fma(first1, b1));
      b2 = bOdd.fma(second2, bEven.fma(first2, b2));
      b3 = bOdd.fma(second3, bEven.fma(first3, b3));
      IntVector cw = IntVector.fromMemorySegment(I, ALL, (c + w) & ADDRESS, LE);
      FloatVector cEven = cw.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats();
      FloatVector cOdd = cw.and(0xffff0000).reinterpretAsFloats();
      c0 = cOdd.fma(second0, cEven.fma(first0, c0));
      c1 = cOdd.fma(second1, cEven.fma(first1, c1));
      c2 = cOdd.fma(second2, cEven.fma(first2, c2));
      c3 = cOdd.fma(second3, cEven.fma(first3, c3));
      IntVector dw = IntVector.fromMemorySegment(I, ALL, (d + w) & ADDRESS, LE);
      FloatVector dEven = dw.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats();
      FloatVector dOdd = dw.and(0xffff0000).reinterpretAsFloats();
      d0 = dOdd.fma(second0, dEven.fma(first0, d0));
      d1 = dOdd.fma(second1, dEven.fma(first1, d1));
      d2 = dOdd.fma(second2, dEven.fma(first2, d2));
      d3 = dOdd.fma(second3, dEven.fma(first3, d3));
    }
    a0.intoMemorySegment(ALL, sums & ADDRESS, LE);
    b0.intoMemorySegment(ALL, (sums + 1L * BYTES) & ADDRESS, LE);
    c0.intoMemorySegment(ALL, (sums + 2L * BYTES) & ADDRESS, LE);
    d0.intoMemorySegment(ALL, (sums + 3L * BYTES) & ADDRESS, LE);
    a1.intoMemorySegment(ALL, (sums + 4L * BYTES) & ADDRESS, LE);
    b1.intoMemorySegment(ALL, (sums + 5L * BYTES) & ADDRESS, LE);
    c1.intoMemorySegment(ALL, (sums + 6L * BYTES) & ADDRESS, LE);
    d1.intoMemorySegment(ALL, (sums + 7L * BYTES) & ADDRESS, LE);
    a2.intoMemorySegment(ALL, (sums + 8L * BYTES) & ADDRESS, LE);
    b2.intoMemorySegment(ALL, (sums + 9L * BYTES) & ADDRESS, LE);
    c2.intoMemorySegment(ALL, (sums + 10L * BYTES) & ADDRESS, LE);
    d2.intoMemorySegment(ALL, (sums + 11L * BYTES) & ADDRESS, LE);
    a3.intoMemorySegment(ALL, (sums + 12L * BYTES) & ADDRESS, LE);
    b3.intoMemorySegment(ALL, (sums + 13L * BYTES) & ADDRESS, LE);
    c3.intoMemorySegment(ALL, (sums + 14L * BYTES) & ADDRESS, LE);
    d3.intoMemorySegment(ALL, (sums + 15L * BYTES) & ADDRESS, LE);
  }

  private static void float32By1(long a, long b, long c, long d, long x, int blocks, long sums) {
    FloatVector a0 = FloatVector.zero(F);
    FloatVector b0 = FloatVector.zero(F);
    FloatVector c0 = FloatVector.zero(F);
    FloatVector d0 = FloatVector.zero(F);
    long end = blocks * 2L * BYTES;
    for (long w = 0, v = 0; w < end; w += 2L * BYTES, v += 2L * BYTES) {
      FloatVector first0 = FloatVector.fromMemorySegment(F, ALL, (x + v) & ADDRESS, LE);
      FloatVector second0 = FloatVector.fromMemorySegment(F, ALL, (x + v + BYTES) & ADDRESS, LE);
      FloatVector aFirst = FloatVector.fromMemorySegment(F, ALL, (a + w) & ADDRESS, LE);
      FloatVector aSecond = FloatVector.fromMemorySegment(F, ALL, (a + w + BYTES) & ADDRESS, LE);
      a0 = aSecond.fma(second0, aFirst.fma(first0, a0));
      FloatVector bFirst = FloatVector.fromMemorySegment(F, ALL, (b + w) & ADDRESS, LE);
      FloatVector bSecond = FloatVector.fromMemorySegment(F, ALL, (b + w + BYTES) & ADDRESS, LE);
      b0 = bSecond.fma(second0, bFirst.fma(first0, b0));
      FloatVector cFirst = FloatVector.fromMemorySegment(F, ALL, (c + w) & ADDRESS, LE);
      FloatVector cSecond = FloatVector.fromMemorySegment(F, ALL, (c + w + BYTES) & ADDRESS, LE);
      c0 = cSecond.fma(second0, cFirst.fma(first0, c0));
      FloatVector dFirst = FloatVector.fromMemorySegment(F, ALL, (d + w) & ADDRESS, LE);
      FloatVector dSecond = FloatVector.fromMemorySegment(F, ALL, (d + w + BYTES) & ADDRESS, LE);
      d0 = dSecond.fma(second0, dFirst.fma(first0, d0));
    }
    a0.intoMemorySegment(ALL, sums & ADDRESS, LE);
    b0.intoMemorySegment(ALL, (sums + 1L * BYTES) & ADDRESS, LE);
    c0.intoMemorySegment(ALL, (sums + 2L * BYTES) & ADDRESS, LE);
    d0.intoMemorySegment(ALL, (sums + 3L * BYTES) & ADDRESS, LE);
  }

  private static void float32By4(
      long a, long b, long c, long d, long x, long stride, int blocks, long sums) {
    FloatVector a0 = FloatVector.zero(F);
    FloatVector b0 = FloatVector.zero(F);
    FloatVector c0 = FloatVector.zero(F);
    FloatVector d0 = FloatVector.zero(F);
    FloatVector a1 = FloatVector.zero(F);
    FloatVector b1 = FloatVector.zero(F);
    FloatVector c1 = FloatVector.zero(F);
    FloatVector d1 = FloatVector.zero(F);
    FloatVector a2 = FloatVector.zero(F);
    FloatVector b2 = FloatVector.zero(F);
    FloatVector c2 = FloatVector.zero(F);
    FloatVector d2 = FloatVector.zero(F);
    FloatVector a3 = FloatVector.zero(F);
    FloatVector b3 = FloatVector.zero(F);
    FloatVector c3 = FloatVector.zero(F);
    FloatVector d3 = FloatVector.zero(F);
    long x1 = x + stride;
    long x2 = x + 2 * stride;
    long x3 = x + 3 * stride;
    long end = blocks * 2L * BYTES;
    for (long w = 0, v = 0; w < end; w += 2L * BYTES, v += 2L * BYTES) {
      FloatVector first0 = FloatVector.fromMemorySegment(F, ALL, (x + v) & ADDRESS, LE);
      FloatVector second0 = FloatVector.fromMemorySegment(F, ALL, (x + v + BYTES) & ADDRESS, LE);
      FloatVector first1 = FloatVector.fromMemorySegment(F, ALL, (x1 + v) & ADDRESS, LE);
      FloatVector second1 = FloatVector.fromMemorySegment(F, ALL, (x1 + v + BYTES) & ADDRESS, LE);
      FloatVector first2 = FloatVector.fromMemorySegment(F, ALL, (x2 + v) & ADDRESS, LE);
      FloatVector second2 = FloatVector.fromMemorySegment(F, ALL, (x2 + v + BYTES) & ADDRESS, LE);
      FloatVector first3 = FloatVector.fromMemorySegment(F, ALL, (x3 + v) & ADDRESS, LE);
      FloatVector second3 = FloatVector.fromMemorySegment(F, ALL, (x3 + v + BYTES) & ADDRESS, LE);
      FloatVector aFirst = FloatVector.fromMemorySegment(F, ALL, (a + w) & ADDRESS, LE);
      FloatVector aSecond = FloatVector.fromMemorySegment(F, ALL, (a + w + BYTES) & ADDRESS, LE);
      a0 = aSecond.fma(second0, aFirst.fma(first0, a0));
      a1 = aSecond.fma(second1, aFirst.fma(first1, a1));
      a2 = aSecond.fma(second2, aFirst.fma(first2, a2));
      a3 = aSecond.fma(second3, aFirst.fma(first3, a3));
      FloatVector bFirst = FloatVector.fromMemorySegment(F, ALL, (b + w) & ADDRESS, LE);
      FloatVector bSecond = FloatVector.fromMemorySegment(F, ALL, (b + w + BYTES) & ADDRESS, LE);
      b0 = bSecond.fma(second0, bFirst.fma(first0, b0));
      b1 = bSecond.fma(second1, bFirst.fma(first1, b1));
      b2 = bSecond.fma(second2, bFirst.fma(first2, b2));
      b3 = bSecond.fma(second3, bFirst.fma(first3, b3));
      FloatVector cFirst = FloatVector.fromMemorySegment(F, ALL, (c + w) & ADDRESS, LE);
      FloatVector cSecond = FloatVector.fromMemorySegment(F, ALL, (c + w + BYTES) & ADDRESS, LE);
      c0 = cSecond.fma(second0, cFirst.fma(first0, c0));
      c1 = cSecond.fma(second1, cFirst.fma(first1, c1));
      c2 = cSecond.fma(second2, cFirst.fma(first2, c2));
      c3 = cSecond.fma(second3, cFirst.fma(first3, c3));
      FloatVector dFirst = FloatVector.fromMemorySegment(F, ALL, (d + w) & ADDRESS, LE);
      FloatVector dSecond = FloatVector.fromMemorySegment(F, ALL, (d + w + BYTES) & ADDRESS, LE);
      d0 = dSecond.fma(second0, dFirst.fma(first0, d0));
      d1 = dSecond.fma(second1, dFirst.fma(first1, d1));
      d2 = dSecond.fma(second2, dFirst.fma(first2, d2));
      d3 = dSecond.fma(second3, dFirst.fma(first3, d3));
    }
    a0.intoMemorySegment(ALL, sums & ADDRESS, LE);
    b0.intoMemorySegment(ALL, (sums + 1L * BYTES) & ADDRESS, LE);
    c0.intoMemorySegment(ALL, (sums + 2L * BYTES) & ADDRESS, LE);
    d0.intoMemorySegment(ALL, (sums + 3L * BYTES) & ADDRESS, LE);
    a1.intoMemorySegment(ALL, (sums + 4L * BYTES) & ADDRESS, LE);
    b1.intoMemorySegment(ALL, (sums + 5L * BYTES) & ADDRESS, LE);
    c1.intoMemorySegment(ALL, (sums + 6L * BYTES) & ADDRESS, LE);
    d1.intoMemorySegment(ALL, (sums + 7L * BYTES) & ADDRESS, LE);
    a2.intoMemorySegment(ALL, (sums + 8L * BYTES) & ADDRESS, LE);
    b2.intoMemorySegment(ALL, (sums + 9L * BYTES) & ADDRESS, LE);
    c2.intoMemorySegment(ALL, (sums + 10L * BYTES) & ADDRESS, LE);
    d2.intoMemorySegment(ALL, (sums + 11L * BYTES) & ADDRESS, LE);
    a3.intoMemorySegment(ALL, (sums + 12L * BYTES) & ADDRESS, LE);
    b3.intoMemorySegment(ALL, (sums + 13L * BYTES) & ADDRESS, LE);
    c3.intoMemorySegment(ALL, (sums + 14L * BYTES) & ADDRESS, LE);
    d3.intoMemorySegment(ALL, (sums + 15L * BYTES) & ADDRESS, LE);
  }
}
