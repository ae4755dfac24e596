package dev.lorikeet.jlama.kernel;

import static dev.lorikeet.jlama.kernel.Lanes.BLOCK_BYTES;
import static dev.lorikeet.jlama.kernel.Lanes.BYTES;
import static dev.lorikeet.jlama.kernel.Lanes.F;
import static dev.lorikeet.jlama.kernel.Lanes.I;
import static dev.lorikeet.jlama.kernel.Lanes.LE;
import static dev.lorikeet.jlama.kernel.NativeMemory.ADDRESS;
import static dev.lorikeet.jlama.kernel.NativeMemory.ALL;

import java.lang.foreign.ValueLayout;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorOperators;

/**
 * Register-blocked products of BF16 rows, read where they lie, with packed activations; sums stay
 * unreduced, one vector for each row and token.
 *
 * <p>A vector of 32-bit lanes holds a block of 2 L weights: shifted left by 16 it is the even ones
 * as float32, with the lower half cleared the odd ones. x was packed the same way, so no lane ever
 * moves. The sum of a row and a token is one chain of FMAs, evens before odds, block after block,
 * in all kernels here and in {@link F32Kernels}: a token's result does not depend on which of them
 * computed it.
 *
 * <p>Operands of all kernels: the first of four rows of weights, the distance between them, packed
 * activations of as many tokens as the kernel takes, where the sums of the first row go, the
 * distance between the sums of two rows, and the number of blocks in a row. Sums of different
 * tokens lie {@code TILE_ROWS} vectors apart.
 *
 * <p>The loops count in bytes with a long: C2 then does not peel an iteration before and after,
 * which matters for rows of 18 blocks.
 */
final class Bf16Kernels {
  private static final int HIGH_HALF = 0xffff0000;
  private static final long TOKEN_SUMS = MatMul.TILE_ROWS * BYTES;

  private Bf16Kernels() {}

  /** Four rows of BF16 by one token. */
  static void rows4x1(long w, long rowStep, long x, long sums, long sumStep, int blocks) {
    long twoRows = 2 * rowStep;
    long threeRows = 3 * rowStep;
    FloatVector s00 = FloatVector.zero(F);
    FloatVector s10 = FloatVector.zero(F);
    FloatVector s20 = FloatVector.zero(F);
    FloatVector s30 = FloatVector.zero(F);
    long end = w + blocks * BYTES;
    for (long wo = w, xi = x; wo < end; wo += BYTES, xi += BLOCK_BYTES) {
      long xo = xi & ADDRESS;
      long w0 = wo & ADDRESS;
      long w1 = wo + rowStep & ADDRESS;
      long w2 = wo + twoRows & ADDRESS;
      long w3 = wo + threeRows & ADDRESS;
      IntVector p0 = IntVector.fromMemorySegment(I, ALL, w0, LE);
      IntVector p1 = IntVector.fromMemorySegment(I, ALL, w1, LE);
      IntVector p2 = IntVector.fromMemorySegment(I, ALL, w2, LE);
      IntVector p3 = IntVector.fromMemorySegment(I, ALL, w3, LE);
      FloatVector e0 = p0.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats();
      FloatVector e1 = p1.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats();
      FloatVector e2 = p2.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats();
      FloatVector e3 = p3.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats();
      FloatVector x0 = FloatVector.fromMemorySegment(F, ALL, xo, LE);
      s00 = x0.fma(e0, s00);
      s10 = x0.fma(e1, s10);
      s20 = x0.fma(e2, s20);
      s30 = x0.fma(e3, s30);
      FloatVector o0 = p0.and(HIGH_HALF).reinterpretAsFloats();
      FloatVector o1 = p1.and(HIGH_HALF).reinterpretAsFloats();
      FloatVector o2 = p2.and(HIGH_HALF).reinterpretAsFloats();
      FloatVector o3 = p3.and(HIGH_HALF).reinterpretAsFloats();
      FloatVector y0 = FloatVector.fromMemorySegment(F, ALL, xo + BYTES, LE);
      s00 = y0.fma(o0, s00);
      s10 = y0.fma(o1, s10);
      s20 = y0.fma(o2, s20);
      s30 = y0.fma(o3, s30);
    }
    long a0 = sums & ADDRESS;
    long a1 = sums + sumStep & ADDRESS;
    long a2 = sums + 2 * sumStep & ADDRESS;
    long a3 = sums + 3 * sumStep & ADDRESS;
    s00.intoMemorySegment(ALL, a0, LE);
    s10.intoMemorySegment(ALL, a1, LE);
    s20.intoMemorySegment(ALL, a2, LE);
    s30.intoMemorySegment(ALL, a3, LE);
  }

  /** Four rows of BF16 by two tokens. */
  static void rows4x2(long w, long rowStep, long x, long sums, long sumStep, int blocks) {
    long twoRows = 2 * rowStep;
    long threeRows = 3 * rowStep;
    FloatVector s00 = FloatVector.zero(F);
    FloatVector s01 = FloatVector.zero(F);
    FloatVector s10 = FloatVector.zero(F);
    FloatVector s11 = FloatVector.zero(F);
    FloatVector s20 = FloatVector.zero(F);
    FloatVector s21 = FloatVector.zero(F);
    FloatVector s30 = FloatVector.zero(F);
    FloatVector s31 = FloatVector.zero(F);
    long end = w + blocks * BYTES;
    for (long wo = w, xi = x; wo < end; wo += BYTES, xi += 2 * BLOCK_BYTES) {
      long xo = xi & ADDRESS;
      long w0 = wo & ADDRESS;
      long w1 = wo + rowStep & ADDRESS;
      long w2 = wo + twoRows & ADDRESS;
      long w3 = wo + threeRows & ADDRESS;
      IntVector p0 = IntVector.fromMemorySegment(I, ALL, w0, LE);
      IntVector p1 = IntVector.fromMemorySegment(I, ALL, w1, LE);
      IntVector p2 = IntVector.fromMemorySegment(I, ALL, w2, LE);
      IntVector p3 = IntVector.fromMemorySegment(I, ALL, w3, LE);
      FloatVector e0 = p0.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats();
      FloatVector e1 = p1.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats();
      FloatVector e2 = p2.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats();
      FloatVector e3 = p3.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats();
      FloatVector x0 = FloatVector.fromMemorySegment(F, ALL, xo, LE);
      s00 = x0.fma(e0, s00);
      s10 = x0.fma(e1, s10);
      s20 = x0.fma(e2, s20);
      s30 = x0.fma(e3, s30);
      FloatVector x1 = FloatVector.fromMemorySegment(F, ALL, xo + 2 * BYTES, LE);
      s01 = x1.fma(e0, s01);
      s11 = x1.fma(e1, s11);
      s21 = x1.fma(e2, s21);
      s31 = x1.fma(e3, s31);
      FloatVector o0 = p0.and(HIGH_HALF).reinterpretAsFloats();
      FloatVector o1 = p1.and(HIGH_HALF).reinterpretAsFloats();
      FloatVector o2 = p2.and(HIGH_HALF).reinterpretAsFloats();
      FloatVector o3 = p3.and(HIGH_HALF).reinterpretAsFloats();
      FloatVector y0 = FloatVector.fromMemorySegment(F, ALL, xo + BYTES, LE);
      s00 = y0.fma(o0, s00);
      s10 = y0.fma(o1, s10);
      s20 = y0.fma(o2, s20);
      s30 = y0.fma(o3, s30);
      FloatVector y1 = FloatVector.fromMemorySegment(F, ALL, xo + 3 * BYTES, LE);
      s01 = y1.fma(o0, s01);
      s11 = y1.fma(o1, s11);
      s21 = y1.fma(o2, s21);
      s31 = y1.fma(o3, s31);
    }
    long a0 = sums & ADDRESS;
    long a1 = sums + sumStep & ADDRESS;
    long a2 = sums + 2 * sumStep & ADDRESS;
    long a3 = sums + 3 * sumStep & ADDRESS;
    s00.intoMemorySegment(ALL, a0, LE);
    s10.intoMemorySegment(ALL, a1, LE);
    s20.intoMemorySegment(ALL, a2, LE);
    s30.intoMemorySegment(ALL, a3, LE);
    s01.intoMemorySegment(ALL, a0 + TOKEN_SUMS, LE);
    s11.intoMemorySegment(ALL, a1 + TOKEN_SUMS, LE);
    s21.intoMemorySegment(ALL, a2 + TOKEN_SUMS, LE);
    s31.intoMemorySegment(ALL, a3 + TOKEN_SUMS, LE);
  }

  /** Four rows of BF16 by four tokens. */
  static void rows4x4(long w, long rowStep, long x, long sums, long sumStep, int blocks) {
    long twoRows = 2 * rowStep;
    long threeRows = 3 * rowStep;
    FloatVector s00 = FloatVector.zero(F);
    FloatVector s01 = FloatVector.zero(F);
    FloatVector s02 = FloatVector.zero(F);
    FloatVector s03 = FloatVector.zero(F);
    FloatVector s10 = FloatVector.zero(F);
    FloatVector s11 = FloatVector.zero(F);
    FloatVector s12 = FloatVector.zero(F);
    FloatVector s13 = FloatVector.zero(F);
    FloatVector s20 = FloatVector.zero(F);
    FloatVector s21 = FloatVector.zero(F);
    FloatVector s22 = FloatVector.zero(F);
    FloatVector s23 = FloatVector.zero(F);
    FloatVector s30 = FloatVector.zero(F);
    FloatVector s31 = FloatVector.zero(F);
    FloatVector s32 = FloatVector.zero(F);
    FloatVector s33 = FloatVector.zero(F);
    long end = w + blocks * BYTES;
    for (long wo = w, xi = x; wo < end; wo += BYTES, xi += 4 * BLOCK_BYTES) {
      long xo = xi & ADDRESS;
      long w0 = wo & ADDRESS;
      long w1 = wo + rowStep & ADDRESS;
      long w2 = wo + twoRows & ADDRESS;
      long w3 = wo + threeRows & ADDRESS;
      IntVector p0 = IntVector.fromMemorySegment(I, ALL, w0, LE);
      IntVector p1 = IntVector.fromMemorySegment(I, ALL, w1, LE);
      IntVector p2 = IntVector.fromMemorySegment(I, ALL, w2, LE);
      IntVector p3 = IntVector.fromMemorySegment(I, ALL, w3, LE);
      FloatVector e0 = p0.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats();
      FloatVector e1 = p1.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats();
      FloatVector e2 = p2.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats();
      FloatVector e3 = p3.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats();
      FloatVector x0 = FloatVector.fromMemorySegment(F, ALL, xo, LE);
      s00 = x0.fma(e0, s00);
      s10 = x0.fma(e1, s10);
      s20 = x0.fma(e2, s20);
      s30 = x0.fma(e3, s30);
      FloatVector x1 = FloatVector.fromMemorySegment(F, ALL, xo + 2 * BYTES, LE);
      s01 = x1.fma(e0, s01);
      s11 = x1.fma(e1, s11);
      s21 = x1.fma(e2, s21);
      s31 = x1.fma(e3, s31);
      FloatVector x2 = FloatVector.fromMemorySegment(F, ALL, xo + 4 * BYTES, LE);
      s02 = x2.fma(e0, s02);
      s12 = x2.fma(e1, s12);
      s22 = x2.fma(e2, s22);
      s32 = x2.fma(e3, s32);
      FloatVector x3 = FloatVector.fromMemorySegment(F, ALL, xo + 6 * BYTES, LE);
      s03 = x3.fma(e0, s03);
      s13 = x3.fma(e1, s13);
      s23 = x3.fma(e2, s23);
      s33 = x3.fma(e3, s33);
      FloatVector o0 = p0.and(HIGH_HALF).reinterpretAsFloats();
      FloatVector o1 = p1.and(HIGH_HALF).reinterpretAsFloats();
      FloatVector o2 = p2.and(HIGH_HALF).reinterpretAsFloats();
      FloatVector o3 = p3.and(HIGH_HALF).reinterpretAsFloats();
      FloatVector y0 = FloatVector.fromMemorySegment(F, ALL, xo + BYTES, LE);
      s00 = y0.fma(o0, s00);
      s10 = y0.fma(o1, s10);
      s20 = y0.fma(o2, s20);
      s30 = y0.fma(o3, s30);
      FloatVector y1 = FloatVector.fromMemorySegment(F, ALL, xo + 3 * BYTES, LE);
      s01 = y1.fma(o0, s01);
      s11 = y1.fma(o1, s11);
      s21 = y1.fma(o2, s21);
      s31 = y1.fma(o3, s31);
      FloatVector y2 = FloatVector.fromMemorySegment(F, ALL, xo + 5 * BYTES, LE);
      s02 = y2.fma(o0, s02);
      s12 = y2.fma(o1, s12);
      s22 = y2.fma(o2, s22);
      s32 = y2.fma(o3, s32);
      FloatVector y3 = FloatVector.fromMemorySegment(F, ALL, xo + 7 * BYTES, LE);
      s03 = y3.fma(o0, s03);
      s13 = y3.fma(o1, s13);
      s23 = y3.fma(o2, s23);
      s33 = y3.fma(o3, s33);
    }
    long a0 = sums & ADDRESS;
    long a1 = sums + sumStep & ADDRESS;
    long a2 = sums + 2 * sumStep & ADDRESS;
    long a3 = sums + 3 * sumStep & ADDRESS;
    s00.intoMemorySegment(ALL, a0, LE);
    s10.intoMemorySegment(ALL, a1, LE);
    s20.intoMemorySegment(ALL, a2, LE);
    s30.intoMemorySegment(ALL, a3, LE);
    s01.intoMemorySegment(ALL, a0 + TOKEN_SUMS, LE);
    s11.intoMemorySegment(ALL, a1 + TOKEN_SUMS, LE);
    s21.intoMemorySegment(ALL, a2 + TOKEN_SUMS, LE);
    s31.intoMemorySegment(ALL, a3 + TOKEN_SUMS, LE);
    s02.intoMemorySegment(ALL, a0 + 2 * TOKEN_SUMS, LE);
    s12.intoMemorySegment(ALL, a1 + 2 * TOKEN_SUMS, LE);
    s22.intoMemorySegment(ALL, a2 + 2 * TOKEN_SUMS, LE);
    s32.intoMemorySegment(ALL, a3 + 2 * TOKEN_SUMS, LE);
    s03.intoMemorySegment(ALL, a0 + 3 * TOKEN_SUMS, LE);
    s13.intoMemorySegment(ALL, a1 + 3 * TOKEN_SUMS, LE);
    s23.intoMemorySegment(ALL, a2 + 3 * TOKEN_SUMS, LE);
    s33.intoMemorySegment(ALL, a3 + 3 * TOKEN_SUMS, LE);
  }

  /**
   * Four rows of BF16 by four tokens, which also touches each cache line of two rows that will be
   * needed next: nothing waits for these loads, so memory works while the products go on.
   *
   * @param ahead the first row to touch
   * @param aheadStep the distance of the second
   * @return something that depends on what was loaded, so that the loads are not removed
   */
  static int rows4x4Ahead(
      long w,
      long rowStep,
      long x,
      long sums,
      long sumStep,
      int blocks,
      long ahead,
      long aheadStep) {
    int touched = 0;
    long toTouch = ahead - w;
    long toTouchToo = ahead + aheadStep - w;
    long twoRows = 2 * rowStep;
    long threeRows = 3 * rowStep;
    FloatVector s00 = FloatVector.zero(F);
    FloatVector s01 = FloatVector.zero(F);
    FloatVector s02 = FloatVector.zero(F);
    FloatVector s03 = FloatVector.zero(F);
    FloatVector s10 = FloatVector.zero(F);
    FloatVector s11 = FloatVector.zero(F);
    FloatVector s12 = FloatVector.zero(F);
    FloatVector s13 = FloatVector.zero(F);
    FloatVector s20 = FloatVector.zero(F);
    FloatVector s21 = FloatVector.zero(F);
    FloatVector s22 = FloatVector.zero(F);
    FloatVector s23 = FloatVector.zero(F);
    FloatVector s30 = FloatVector.zero(F);
    FloatVector s31 = FloatVector.zero(F);
    FloatVector s32 = FloatVector.zero(F);
    FloatVector s33 = FloatVector.zero(F);
    long end = w + blocks * BYTES;
    for (long wo = w, xi = x; wo < end; wo += BYTES, xi += 4 * BLOCK_BYTES) {
      long xo = xi & ADDRESS;
      long w0 = wo & ADDRESS;
      long w1 = wo + rowStep & ADDRESS;
      long w2 = wo + twoRows & ADDRESS;
      long w3 = wo + threeRows & ADDRESS;
      touched |= ALL.get(ValueLayout.JAVA_INT_UNALIGNED, wo + toTouch & ADDRESS);
      touched |= ALL.get(ValueLayout.JAVA_INT_UNALIGNED, wo + toTouchToo & ADDRESS);
      IntVector p0 = IntVector.fromMemorySegment(I, ALL, w0, LE);
      IntVector p1 = IntVector.fromMemorySegment(I, ALL, w1, LE);
      IntVector p2 = IntVector.fromMemorySegment(I, ALL, w2, LE);
      IntVector p3 = IntVector.fromMemorySegment(I, ALL, w3, LE);
      FloatVector e0 = p0.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats();
      FloatVector e1 = p1.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats();
      FloatVector e2 = p2.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats();
      FloatVector e3 = p3.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats();
      FloatVector x0 = FloatVector.fromMemorySegment(F, ALL, xo, LE);
      s00 = x0.fma(e0, s00);
      s10 = x0.fma(e1, s10);
      s20 = x0.fma(e2, s20);
      s30 = x0.fma(e3, s30);
      FloatVector x1 = FloatVector.fromMemorySegment(F, ALL, xo + 2 * BYTES, LE);
      s01 = x1.fma(e0, s01);
      s11 = x1.fma(e1, s11);
      s21 = x1.fma(e2, s21);
      s31 = x1.fma(e3, s31);
      FloatVector x2 = FloatVector.fromMemorySegment(F, ALL, xo + 4 * BYTES, LE);
      s02 = x2.fma(e0, s02);
      s12 = x2.fma(e1, s12);
      s22 = x2.fma(e2, s22);
      s32 = x2.fma(e3, s32);
      FloatVector x3 = FloatVector.fromMemorySegment(F, ALL, xo + 6 * BYTES, LE);
      s03 = x3.fma(e0, s03);
      s13 = x3.fma(e1, s13);
      s23 = x3.fma(e2, s23);
      s33 = x3.fma(e3, s33);
      FloatVector o0 = p0.and(HIGH_HALF).reinterpretAsFloats();
      FloatVector o1 = p1.and(HIGH_HALF).reinterpretAsFloats();
      FloatVector o2 = p2.and(HIGH_HALF).reinterpretAsFloats();
      FloatVector o3 = p3.and(HIGH_HALF).reinterpretAsFloats();
      FloatVector y0 = FloatVector.fromMemorySegment(F, ALL, xo + BYTES, LE);
      s00 = y0.fma(o0, s00);
      s10 = y0.fma(o1, s10);
      s20 = y0.fma(o2, s20);
      s30 = y0.fma(o3, s30);
      FloatVector y1 = FloatVector.fromMemorySegment(F, ALL, xo + 3 * BYTES, LE);
      s01 = y1.fma(o0, s01);
      s11 = y1.fma(o1, s11);
      s21 = y1.fma(o2, s21);
      s31 = y1.fma(o3, s31);
      FloatVector y2 = FloatVector.fromMemorySegment(F, ALL, xo + 5 * BYTES, LE);
      s02 = y2.fma(o0, s02);
      s12 = y2.fma(o1, s12);
      s22 = y2.fma(o2, s22);
      s32 = y2.fma(o3, s32);
      FloatVector y3 = FloatVector.fromMemorySegment(F, ALL, xo + 7 * BYTES, LE);
      s03 = y3.fma(o0, s03);
      s13 = y3.fma(o1, s13);
      s23 = y3.fma(o2, s23);
      s33 = y3.fma(o3, s33);
    }
    long a0 = sums & ADDRESS;
    long a1 = sums + sumStep & ADDRESS;
    long a2 = sums + 2 * sumStep & ADDRESS;
    long a3 = sums + 3 * sumStep & ADDRESS;
    s00.intoMemorySegment(ALL, a0, LE);
    s10.intoMemorySegment(ALL, a1, LE);
    s20.intoMemorySegment(ALL, a2, LE);
    s30.intoMemorySegment(ALL, a3, LE);
    s01.intoMemorySegment(ALL, a0 + TOKEN_SUMS, LE);
    s11.intoMemorySegment(ALL, a1 + TOKEN_SUMS, LE);
    s21.intoMemorySegment(ALL, a2 + TOKEN_SUMS, LE);
    s31.intoMemorySegment(ALL, a3 + TOKEN_SUMS, LE);
    s02.intoMemorySegment(ALL, a0 + 2 * TOKEN_SUMS, LE);
    s12.intoMemorySegment(ALL, a1 + 2 * TOKEN_SUMS, LE);
    s22.intoMemorySegment(ALL, a2 + 2 * TOKEN_SUMS, LE);
    s32.intoMemorySegment(ALL, a3 + 2 * TOKEN_SUMS, LE);
    s03.intoMemorySegment(ALL, a0 + 3 * TOKEN_SUMS, LE);
    s13.intoMemorySegment(ALL, a1 + 3 * TOKEN_SUMS, LE);
    s23.intoMemorySegment(ALL, a2 + 3 * TOKEN_SUMS, LE);
    s33.intoMemorySegment(ALL, a3 + 3 * TOKEN_SUMS, LE);
    return touched;
  }
}
