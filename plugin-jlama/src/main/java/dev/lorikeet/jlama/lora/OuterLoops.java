package dev.lorikeet.jlama.lora;

import static dev.lorikeet.jlama.kernel.Lanes.BYTES;
import static dev.lorikeet.jlama.kernel.Lanes.F;
import static dev.lorikeet.jlama.kernel.Lanes.LE;
import static dev.lorikeet.jlama.kernel.NativeMemory.ADDRESS;
import static dev.lorikeet.jlama.kernel.NativeMemory.ALL;
import static dev.lorikeet.jlama.kernel.NativeMemory.FLOAT;

import jdk.incubator.vector.FloatVector;

/**
 * The inner loops of {@link OuterKernel}: sums of products over tokens, for one, four or eight rows
 * and one or two vectors of columns, kept in registers throughout.
 */
final class OuterLoops {
  private OuterLoops() {}

  /**
   * Stores the sums of one tile: two vectors a row, whatever the width.
   *
   * @param rows 1, 4 or 8
   * @param vectors 1 or 2
   * @param p address of each token's factors of the rows
   * @param pAt bytes to the first of them
   * @param q address of each token's columns
   * @param qAt bytes to the first of them
   * @param tokens how many tokens
   * @param sums address of the results
   */
  static void multiply(
      int rows, int vectors, long[] p, long pAt, long[] q, long qAt, int tokens, long sums) {
    if (vectors == 2) {
      switch (rows) {
        case 8 -> rows8By2(p, pAt, q, qAt, tokens, sums);
        case 4 -> rows4By2(p, pAt, q, qAt, tokens, sums);
        default -> rows1By2(p, pAt, q, qAt, tokens, sums);
      }
    } else {
      switch (rows) {
        case 8 -> rows8By1(p, pAt, q, qAt, tokens, sums);
        case 4 -> rows4By1(p, pAt, q, qAt, tokens, sums);
        default -> rows1By1(p, pAt, q, qAt, tokens, sums);
      }
    }
  }

  private static void rows8By2(long[] p, long pAt, long[] q, long qAt, int tokens, long sums) {
    FloatVector a0 = FloatVector.zero(F);
    FloatVector a1 = FloatVector.zero(F);
    FloatVector b0 = FloatVector.zero(F);
    FloatVector b1 = FloatVector.zero(F);
    FloatVector c0 = FloatVector.zero(F);
    FloatVector c1 = FloatVector.zero(F);
    FloatVector d0 = FloatVector.zero(F);
    FloatVector d1 = FloatVector.zero(F);
    FloatVector e0 = FloatVector.zero(F);
    FloatVector e1 = FloatVector.zero(F);
    FloatVector f0 = FloatVector.zero(F);
    FloatVector f1 = FloatVector.zero(F);
    FloatVector g0 = FloatVector.zero(F);
    FloatVector g1 = FloatVector.zero(F);
    FloatVector h0 = FloatVector.zero(F);
    FloatVector h1 = FloatVector.zero(F);
    for (int t = 0; t < tokens; t++) {
      long factors = p[t] + pAt;
      long columns = q[t] + qAt;
      FloatVector q0 = FloatVector.fromMemorySegment(F, ALL, columns & ADDRESS, LE);
      FloatVector q1 = FloatVector.fromMemorySegment(F, ALL, (columns + BYTES) & ADDRESS, LE);
      FloatVector a = FloatVector.broadcast(F, ALL.get(FLOAT, factors & ADDRESS));
      a0 = q0.fma(a, a0);
      a1 = q1.fma(a, a1);
      FloatVector b = FloatVector.broadcast(F, ALL.get(FLOAT, (factors + 4) & ADDRESS));
      b0 = q0.fma(b, b0);
      b1 = q1.fma(b, b1);
      FloatVector c = FloatVector.broadcast(F, ALL.get(FLOAT, (factors + 8) & ADDRESS));
      c0 = q0.fma(c, c0);
      c1 = q1.fma(c, c1);
      FloatVector d = FloatVector.broadcast(F, ALL.get(FLOAT, (factors + 12) & ADDRESS));
      d0 = q0.fma(d, d0);
      d1 = q1.fma(d, d1);
      FloatVector e = FloatVector.broadcast(F, ALL.get(FLOAT, (factors + 16) & ADDRESS));
      e0 = q0.fma(e, e0);
      e1 = q1.fma(e, e1);
      FloatVector f = FloatVector.broadcast(F, ALL.get(FLOAT, (factors + 20) & ADDRESS));
      f0 = q0.fma(f, f0);
      f1 = q1.fma(f, f1);
      FloatVector g = FloatVector.broadcast(F, ALL.get(FLOAT, (factors + 24) & ADDRESS));
      g0 = q0.fma(g, g0);
      g1 = q1.fma(g, g1);
      FloatVector h = FloatVector.broadcast(F, ALL.get(FLOAT, (factors + 28) & ADDRESS));
      h0 = q0.fma(h, h0);
      h1 = q1.fma(h, h1);
    }
    a0.intoMemorySegment(ALL, sums & ADDRESS, LE);
    a1.intoMemorySegment(ALL, (sums + 1 * BYTES) & ADDRESS, LE);
    b0.intoMemorySegment(ALL, (sums + 2 * BYTES) & ADDRESS, LE);
    b1.intoMemorySegment(ALL, (sums + 3 * BYTES) & ADDRESS, LE);
    c0.intoMemorySegment(ALL, (sums + 4 * BYTES) & ADDRESS, LE);
    c1.intoMemorySegment(ALL, (sums + 5 * BYTES) & ADDRESS, LE);
    d0.intoMemorySegment(ALL, (sums + 6 * BYTES) & ADDRESS, LE);
    d1.intoMemorySegment(ALL, (sums + 7 * BYTES) & ADDRESS, LE);
    e0.intoMemorySegment(ALL, (sums + 8 * BYTES) & ADDRESS, LE);
    e1.intoMemorySegment(ALL, (sums + 9 * BYTES) & ADDRESS, LE);
    f0.intoMemorySegment(ALL, (sums + 10 * BYTES) & ADDRESS, LE);
    f1.intoMemorySegment(ALL, (sums + 11 * BYTES) & ADDRESS, LE);
    g0.intoMemorySegment(ALL, (sums + 12 * BYTES) & ADDRESS, LE);
    g1.intoMemorySegment(ALL, (sums + 13 * BYTES) & ADDRESS, LE);
    h0.intoMemorySegment(ALL, (sums + 14 * BYTES) & ADDRESS, LE);
    h1.intoMemorySegment(ALL, (sums + 15 * BYTES) & ADDRESS, LE);
  }

  private static void rows8By1(long[] p, long pAt, long[] q, long qAt, int tokens, long sums) {
    FloatVector a0 = FloatVector.zero(F);
    FloatVector b0 = FloatVector.zero(F);
    FloatVector c0 = FloatVector.zero(F);
    FloatVector d0 = FloatVector.zero(F);
    FloatVector e0 = FloatVector.zero(F);
    FloatVector f0 = FloatVector.zero(F);
    FloatVector g0 = FloatVector.zero(F);
    FloatVector h0 = FloatVector.zero(F);
    for (int t = 0; t < tokens; t++) {
      long factors = p[t] + pAt;
      long columns = q[t] + qAt;
      FloatVector q0 = FloatVector.fromMemorySegment(F, ALL, columns & ADDRESS, LE);
      FloatVector a = FloatVector.broadcast(F, ALL.get(FLOAT, factors & ADDRESS));
      a0 = q0.fma(a, a0);
      FloatVector b = FloatVector.broadcast(F, ALL.get(FLOAT, (factors + 4) & ADDRESS));
      b0 = q0.fma(b, b0);
      FloatVector c = FloatVector.broadcast(F, ALL.get(FLOAT, (factors + 8) & ADDRESS));
      c0 = q0.fma(c, c0);
      FloatVector d = FloatVector.broadcast(F, ALL.get(FLOAT, (factors + 12) & ADDRESS));
      d0 = q0.fma(d, d0);
      FloatVector e = FloatVector.broadcast(F, ALL.get(FLOAT, (factors + 16) & ADDRESS));
      e0 = q0.fma(e, e0);
      FloatVector f = FloatVector.broadcast(F, ALL.get(FLOAT, (factors + 20) & ADDRESS));
      f0 = q0.fma(f, f0);
      FloatVector g = FloatVector.broadcast(F, ALL.get(FLOAT, (factors + 24) & ADDRESS));
      g0 = q0.fma(g, g0);
      FloatVector h = FloatVector.broadcast(F, ALL.get(FLOAT, (factors + 28) & ADDRESS));
      h0 = q0.fma(h, h0);
    }
    a0.intoMemorySegment(ALL, sums & ADDRESS, LE);
    b0.intoMemorySegment(ALL, (sums + 2 * BYTES) & ADDRESS, LE);
    c0.intoMemorySegment(ALL, (sums + 4 * BYTES) & ADDRESS, LE);
    d0.intoMemorySegment(ALL, (sums + 6 * BYTES) & ADDRESS, LE);
    e0.intoMemorySegment(ALL, (sums + 8 * BYTES) & ADDRESS, LE);
    f0.intoMemorySegment(ALL, (sums + 10 * BYTES) & ADDRESS, LE);
    g0.intoMemorySegment(ALL, (sums + 12 * BYTES) & ADDRESS, LE);
    h0.intoMemorySegment(ALL, (sums + 14 * BYTES) & ADDRESS, LE);
  }

  private static void rows4By2(long[] p, long pAt, long[] q, long qAt, int tokens, long sums) {
    FloatVector a0 = FloatVector.zero(F);
    FloatVector a1 = FloatVector.zero(F);
    FloatVector b0 = FloatVector.zero(F);
    FloatVector b1 = FloatVector.zero(F);
    FloatVector c0 = FloatVector.zero(F);
    FloatVector c1 = FloatVector.zero(F);
    FloatVector d0 = FloatVector.zero(F);
    FloatVector d1 = FloatVector.zero(F);
    for (int t = 0; t < tokens; t++) {
      long factors = p[t] + pAt;
      long columns = q[t] + qAt;
      FloatVector q0 = FloatVector.fromMemorySegment(F, ALL, columns & ADDRESS, LE);
      FloatVector q1 = FloatVector.fromMemorySegment(F, ALL, (columns + BYTES) & ADDRESS, LE);
      FloatVector a = FloatVector.broadcast(F, ALL.get(FLOAT, factors & ADDRESS));
      a0 = q0.fma(a, a0);
      a1 = q1.fma(a, a1);
      FloatVector b = FloatVector.broadcast(F, ALL.get(FLOAT, (factors + 4) & ADDRESS));
      b0 = q0.fma(b, b0);
      b1 = q1.fma(b, b1);
      FloatVector c = FloatVector.broadcast(F, ALL.get(FLOAT, (factors + 8) & ADDRESS));
      c0 = q0.fma(c, c0);
      c1 = q1.fma(c, c1);
      FloatVector d = FloatVector.broadcast(F, ALL.get(FLOAT, (factors + 12) & ADDRESS));
      d0 = q0.fma(d, d0);
      d1 = q1.fma(d, d1);
    }
    a0.intoMemorySegment(ALL, sums & ADDRESS, LE);
    a1.intoMemorySegment(ALL, (sums + 1 * BYTES) & ADDRESS, LE);
    b0.intoMemorySegment(ALL, (sums + 2 * BYTES) & ADDRESS, LE);
    b1.intoMemorySegment(ALL, (sums + 3 * BYTES) & ADDRESS, LE);
    c0.intoMemorySegment(ALL, (sums + 4 * BYTES) & ADDRESS, LE);
    c1.intoMemorySegment(ALL, (sums + 5 * BYTES) & ADDRESS, LE);
    d0.intoMemorySegment(ALL, (sums + 6 * BYTES) & ADDRESS, LE);
    d1.intoMemorySegment(ALL, (sums + 7 * BYTES) & ADDRESS, LE);
  }

  private static void rows4By1(long[] p, long pAt, long[] q, long qAt, int tokens, long sums) {
    FloatVector a0 = FloatVector.zero(F);
    FloatVector b0 = FloatVector.zero(F);
    FloatVector c0 = FloatVector.zero(F);
    FloatVector d0 = FloatVector.zero(F);
    for (int t = 0; t < tokens; t++) {
      long factors = p[t] + pAt;
      long columns = q[t] + qAt;
      FloatVector q0 = FloatVector.fromMemorySegment(F, ALL, columns & ADDRESS, LE);
      FloatVector a = FloatVector.broadcast(F, ALL.get(FLOAT, factors & ADDRESS));
      a0 = q0.fma(a, a0);
      FloatVector b = FloatVector.broadcast(F, ALL.get(FLOAT, (factors + 4) & ADDRESS));
      b0 = q0.fma(b, b0);
      FloatVector c = FloatVector.broadcast(F, ALL.get(FLOAT, (factors + 8) & ADDRESS));
      c0 = q0.fma(c, c0);
      FloatVector d = FloatVector.broadcast(F, ALL.get(FLOAT, (factors + 12) & ADDRESS));
      d0 = q0.fma(d, d0);
    }
    a0.intoMemorySegment(ALL, sums & ADDRESS, LE);
    b0.intoMemorySegment(ALL, (sums + 2 * BYTES) & ADDRESS, LE);
    c0.intoMemorySegment(ALL, (sums + 4 * BYTES) & ADDRESS, LE);
    d0.intoMemorySegment(ALL, (sums + 6 * BYTES) & ADDRESS, LE);
  }

  private static void rows1By2(long[] p, long pAt, long[] q, long qAt, int tokens, long sums) {
    FloatVector a0 = FloatVector.zero(F);
    FloatVector a1 = FloatVector.zero(F);
    for (int t = 0; t < tokens; t++) {
      long factors = p[t] + pAt;
      long columns = q[t] + qAt;
      FloatVector q0 = FloatVector.fromMemorySegment(F, ALL, columns & ADDRESS, LE);
      FloatVector q1 = FloatVector.fromMemorySegment(F, ALL, (columns + BYTES) & ADDRESS, LE);
      FloatVector a = FloatVector.broadcast(F, ALL.get(FLOAT, factors & ADDRESS));
      a0 = q0.fma(a, a0);
      a1 = q1.fma(a, a1);
    }
    a0.intoMemorySegment(ALL, sums & ADDRESS, LE);
    a1.intoMemorySegment(ALL, (sums + 1 * BYTES) & ADDRESS, LE);
  }

  private static void rows1By1(long[] p, long pAt, long[] q, long qAt, int tokens, long sums) {
    FloatVector a0 = FloatVector.zero(F);
    for (int t = 0; t < tokens; t++) {
      long factors = p[t] + pAt;
      long columns = q[t] + qAt;
      FloatVector q0 = FloatVector.fromMemorySegment(F, ALL, columns & ADDRESS, LE);
      FloatVector a = FloatVector.broadcast(F, ALL.get(FLOAT, factors & ADDRESS));
      a0 = q0.fma(a, a0);
    }
    a0.intoMemorySegment(ALL, sums & ADDRESS, LE);
  }
}
