package dev.lorikeet.jlama.kernel;

import static dev.lorikeet.jlama.kernel.Lanes.BLOCK_BYTES;
import static dev.lorikeet.jlama.kernel.Lanes.BYTES;
import static dev.lorikeet.jlama.kernel.Lanes.F;
import static dev.lorikeet.jlama.kernel.Lanes.LE;
import static dev.lorikeet.jlama.kernel.NativeMemory.ADDRESS;
import static dev.lorikeet.jlama.kernel.NativeMemory.ALL;

import jdk.incubator.vector.FloatVector;

/**
 * Register-blocked products of float32 rows that {@link WeightTile} widened and split into even and
 * odd elements; the same chains of FMAs as {@link Bf16Kernels}. Four rows by four tokens: 16 sums,
 * 4 weights and an x in registers, 16 FMAs for 8 loads.
 */
final class F32Kernels {
  private static final long TOKEN_SUMS = MatMul.TILE_ROWS * BYTES;

  private F32Kernels() {}

  /** Four rows of float32 by one token. */
  static void rows4x1(long w, long rowStep, long x, long sums, long sumStep, int blocks) {
    long twoRows = 2 * rowStep;
    long threeRows = 3 * rowStep;
    FloatVector s00 = FloatVector.zero(F);
    FloatVector s10 = FloatVector.zero(F);
    FloatVector s20 = FloatVector.zero(F);
    FloatVector s30 = FloatVector.zero(F);
    long end = w + blocks * BLOCK_BYTES;
    for (long wo = w, xi = x; wo < end; wo += BLOCK_BYTES, xi += BLOCK_BYTES) {
      long xo = xi & ADDRESS;
      long w0 = wo & ADDRESS;
      long w1 = wo + rowStep & ADDRESS;
      long w2 = wo + twoRows & ADDRESS;
      long w3 = wo + threeRows & ADDRESS;
      FloatVector e0 = FloatVector.fromMemorySegment(F, ALL, w0, LE);
      FloatVector e1 = FloatVector.fromMemorySegment(F, ALL, w1, LE);
      FloatVector e2 = FloatVector.fromMemorySegment(F, ALL, w2, LE);
      FloatVector e3 = FloatVector.fromMemorySegment(F, ALL, w3, LE);
      FloatVector x0 = FloatVector.fromMemorySegment(F, ALL, xo, LE);
      s00 = x0.fma(e0, s00);
      s10 = x0.fma(e1, s10);
      s20 = x0.fma(e2, s20);
      s30 = x0.fma(e3, s30);
      FloatVector o0 = FloatVector.fromMemorySegment(F, ALL, w0 + BYTES, LE);
      FloatVector o1 = FloatVector.fromMemorySegment(F, ALL, w1 + BYTES, LE);
      FloatVector o2 = FloatVector.fromMemorySegment(F, ALL, w2 + BYTES, LE);
      FloatVector o3 = FloatVector.fromMemorySegment(F, ALL, w3 + BYTES, LE);
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

  /** Four rows of float32 by two tokens. */
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
    long end = w + blocks * BLOCK_BYTES;
    for (long wo = w, xi = x; wo < end; wo += BLOCK_BYTES, xi += 2 * BLOCK_BYTES) {
      long xo = xi & ADDRESS;
      long w0 = wo & ADDRESS;
      long w1 = wo + rowStep & ADDRESS;
      long w2 = wo + twoRows & ADDRESS;
      long w3 = wo + threeRows & ADDRESS;
      FloatVector e0 = FloatVector.fromMemorySegment(F, ALL, w0, LE);
      FloatVector e1 = FloatVector.fromMemorySegment(F, ALL, w1, LE);
      FloatVector e2 = FloatVector.fromMemorySegment(F, ALL, w2, LE);
      FloatVector e3 = FloatVector.fromMemorySegment(F, ALL, w3, LE);
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
      FloatVector o0 = FloatVector.fromMemorySegment(F, ALL, w0 + BYTES, LE);
      FloatVector o1 = FloatVector.fromMemorySegment(F, ALL, w1 + BYTES, LE);
      FloatVector o2 = FloatVector.fromMemorySegment(F, ALL, w2 + BYTES, LE);
      FloatVector o3 = FloatVector.fromMemorySegment(F, ALL, w3 + BYTES, LE);
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

  /** Four rows of float32 by four tokens. */
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
    long end = w + blocks * BLOCK_BYTES;
    for (long wo = w, xi = x; wo < end; wo += BLOCK_BYTES, xi += 4 * BLOCK_BYTES) {
      long xo = xi & ADDRESS;
      long w0 = wo & ADDRESS;
      long w1 = wo + rowStep & ADDRESS;
      long w2 = wo + twoRows & ADDRESS;
      long w3 = wo + threeRows & ADDRESS;
      FloatVector e0 = FloatVector.fromMemorySegment(F, ALL, w0, LE);
      FloatVector e1 = FloatVector.fromMemorySegment(F, ALL, w1, LE);
      FloatVector e2 = FloatVector.fromMemorySegment(F, ALL, w2, LE);
      FloatVector e3 = FloatVector.fromMemorySegment(F, ALL, w3, LE);
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
      FloatVector o0 = FloatVector.fromMemorySegment(F, ALL, w0 + BYTES, LE);
      FloatVector o1 = FloatVector.fromMemorySegment(F, ALL, w1 + BYTES, LE);
      FloatVector o2 = FloatVector.fromMemorySegment(F, ALL, w2 + BYTES, LE);
      FloatVector o3 = FloatVector.fromMemorySegment(F, ALL, w3 + BYTES, LE);
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
}
