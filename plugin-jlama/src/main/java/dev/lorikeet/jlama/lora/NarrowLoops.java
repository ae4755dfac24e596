package dev.lorikeet.jlama.lora;

import static dev.lorikeet.jlama.kernel.Lanes.BYTES;
import static dev.lorikeet.jlama.kernel.Lanes.F;
import static dev.lorikeet.jlama.kernel.Lanes.L;
import static dev.lorikeet.jlama.kernel.Lanes.LE;
import static dev.lorikeet.jlama.kernel.NativeMemory.ADDRESS;
import static dev.lorikeet.jlama.kernel.NativeMemory.ALL;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorShuffle;

/**
 * The inner loops of {@link OuterKernel} for four or eight columns, fewer than there are lanes: a
 * vector then holds all columns of several rows.
 */
final class NarrowLoops {
  /** Rows at once: two vectors of p. */
  static final int ROWS = 2 * L;

  private static final VectorShuffle<Float> ROWS4_0 = rows(4, 0);
  private static final VectorShuffle<Float> ROWS4_1 = rows(4, 1);
  private static final VectorShuffle<Float> ROWS4_2 = rows(4, 2);
  private static final VectorShuffle<Float> ROWS4_3 = rows(4, 3);
  private static final VectorShuffle<Float> ROWS8_0 = rows(8, 0);
  private static final VectorShuffle<Float> ROWS8_1 = rows(8, 1);
  private static final VectorShuffle<Float> ROWS8_2 = rows(8, 2);
  private static final VectorShuffle<Float> ROWS8_3 = rows(8, 3);
  private static final VectorShuffle<Float> ROWS8_4 = rows(8, 4);
  private static final VectorShuffle<Float> ROWS8_5 = rows(8, 5);
  private static final VectorShuffle<Float> ROWS8_6 = rows(8, 6);
  private static final VectorShuffle<Float> ROWS8_7 = rows(8, 7);
  private static final VectorShuffle<Float> REPEAT4 = VectorShuffle.fromOp(F, lane -> lane % 4);
  private static final VectorShuffle<Float> REPEAT8 =
      VectorShuffle.fromOp(F, lane -> lane % Math.min(8, L));

  private NarrowLoops() {}

  /** Takes the rows of part k of a vector of rows, each as often as there are columns. */
  private static VectorShuffle<Float> rows(int columns, int k) {
    return VectorShuffle.fromOp(F, lane -> (k * (L / columns) + lane / columns) % L);
  }

  /** Returns whether there are loops for so many columns. */
  static boolean offers(int columns) {
    return columns < L && (columns == 4 || columns == 8);
  }

  /** Stores each token's columns side by side until a vector is full, one vector a token. */
  static void repeat(int columns, long[] q, long qAt, int tokens, long to) {
    if (columns == 4) {
      repeat4(q, qAt, tokens, to);
    } else {
      repeat8(q, qAt, tokens, to);
    }
  }

  /**
   * Stores the sums of {@link #ROWS} rows, {@code [rows, columns]} without gaps.
   *
   * @param columns 4 or 8
   * @param p address of each token's factors of the rows
   * @param pAt bytes to the first of them
   * @param repeated address of each token's columns, repeated
   * @param tokens how many tokens
   * @param sums address of the results
   */
  static void multiply(int columns, long[] p, long pAt, long repeated, int tokens, long sums) {
    if (columns == 4) {
      columns4(p, pAt, repeated, tokens, sums);
    } else {
      columns8First(p, pAt, repeated, tokens, sums);
      columns8Last(p, pAt, repeated, tokens, sums);
    }
  }

  private static void repeat4(long[] q, long qAt, int tokens, long to) {
    for (int t = 0; t < tokens; t++) {
      FloatVector columns = FloatVector.fromMemorySegment(F, ALL, (q[t] + qAt) & ADDRESS, LE);
      columns.rearrange(REPEAT4).intoMemorySegment(ALL, (to + t * BYTES) & ADDRESS, LE);
    }
  }

  private static void repeat8(long[] q, long qAt, int tokens, long to) {
    for (int t = 0; t < tokens; t++) {
      FloatVector columns = FloatVector.fromMemorySegment(F, ALL, (q[t] + qAt) & ADDRESS, LE);
      columns.rearrange(REPEAT8).intoMemorySegment(ALL, (to + t * BYTES) & ADDRESS, LE);
    }
  }

  private static void columns4(long[] p, long pAt, long repeated, int tokens, long sums) {
    FloatVector a0 = FloatVector.zero(F);
    FloatVector a1 = FloatVector.zero(F);
    FloatVector a2 = FloatVector.zero(F);
    FloatVector a3 = FloatVector.zero(F);
    FloatVector b0 = FloatVector.zero(F);
    FloatVector b1 = FloatVector.zero(F);
    FloatVector b2 = FloatVector.zero(F);
    FloatVector b3 = FloatVector.zero(F);
    for (int t = 0; t < tokens; t++) {
      long rows = p[t] + pAt;
      FloatVector columns =
          FloatVector.fromMemorySegment(F, ALL, (repeated + t * BYTES) & ADDRESS, LE);
      FloatVector a = FloatVector.fromMemorySegment(F, ALL, rows & ADDRESS, LE);
      FloatVector b = FloatVector.fromMemorySegment(F, ALL, (rows + BYTES) & ADDRESS, LE);
      a0 = a.rearrange(ROWS4_0).fma(columns, a0);
      a1 = a.rearrange(ROWS4_1).fma(columns, a1);
      a2 = a.rearrange(ROWS4_2).fma(columns, a2);
      a3 = a.rearrange(ROWS4_3).fma(columns, a3);
      b0 = b.rearrange(ROWS4_0).fma(columns, b0);
      b1 = b.rearrange(ROWS4_1).fma(columns, b1);
      b2 = b.rearrange(ROWS4_2).fma(columns, b2);
      b3 = b.rearrange(ROWS4_3).fma(columns, b3);
    }
    a0.intoMemorySegment(ALL, sums & ADDRESS, LE);
    a1.intoMemorySegment(ALL, (sums + 1 * BYTES) & ADDRESS, LE);
    a2.intoMemorySegment(ALL, (sums + 2 * BYTES) & ADDRESS, LE);
    a3.intoMemorySegment(ALL, (sums + 3 * BYTES) & ADDRESS, LE);
    b0.intoMemorySegment(ALL, (sums + 4 * BYTES) & ADDRESS, LE);
    b1.intoMemorySegment(ALL, (sums + 5 * BYTES) & ADDRESS, LE);
    b2.intoMemorySegment(ALL, (sums + 6 * BYTES) & ADDRESS, LE);
    b3.intoMemorySegment(ALL, (sums + 7 * BYTES) & ADDRESS, LE);
  }

  private static void columns8First(long[] p, long pAt, long repeated, int tokens, long sums) {
    FloatVector a0 = FloatVector.zero(F);
    FloatVector a1 = FloatVector.zero(F);
    FloatVector a2 = FloatVector.zero(F);
    FloatVector a3 = FloatVector.zero(F);
    FloatVector b0 = FloatVector.zero(F);
    FloatVector b1 = FloatVector.zero(F);
    FloatVector b2 = FloatVector.zero(F);
    FloatVector b3 = FloatVector.zero(F);
    for (int t = 0; t < tokens; t++) {
      long rows = p[t] + pAt;
      FloatVector columns =
          FloatVector.fromMemorySegment(F, ALL, (repeated + t * BYTES) & ADDRESS, LE);
      FloatVector a = FloatVector.fromMemorySegment(F, ALL, rows & ADDRESS, LE);
      FloatVector b = FloatVector.fromMemorySegment(F, ALL, (rows + BYTES) & ADDRESS, LE);
      a0 = a.rearrange(ROWS8_0).fma(columns, a0);
      a1 = a.rearrange(ROWS8_1).fma(columns, a1);
      a2 = a.rearrange(ROWS8_2).fma(columns, a2);
      a3 = a.rearrange(ROWS8_3).fma(columns, a3);
      b0 = b.rearrange(ROWS8_0).fma(columns, b0);
      b1 = b.rearrange(ROWS8_1).fma(columns, b1);
      b2 = b.rearrange(ROWS8_2).fma(columns, b2);
      b3 = b.rearrange(ROWS8_3).fma(columns, b3);
    }
    a0.intoMemorySegment(ALL, sums & ADDRESS, LE);
    a1.intoMemorySegment(ALL, (sums + 1 * BYTES) & ADDRESS, LE);
    a2.intoMemorySegment(ALL, (sums + 2 * BYTES) & ADDRESS, LE);
    a3.intoMemorySegment(ALL, (sums + 3 * BYTES) & ADDRESS, LE);
    b0.intoMemorySegment(ALL, (sums + 8 * BYTES) & ADDRESS, LE);
    b1.intoMemorySegment(ALL, (sums + 9 * BYTES) & ADDRESS, LE);
    b2.intoMemorySegment(ALL, (sums + 10 * BYTES) & ADDRESS, LE);
    b3.intoMemorySegment(ALL, (sums + 11 * BYTES) & ADDRESS, LE);
  }

  private static void columns8Last(long[] p, long pAt, long repeated, int tokens, long sums) {
    FloatVector a0 = FloatVector.zero(F);
    FloatVector a1 = FloatVector.zero(F);
    FloatVector a2 = FloatVector.zero(F);
    FloatVector a3 = FloatVector.zero(F);
    FloatVector b0 = FloatVector.zero(F);
    FloatVector b1 = FloatVector.zero(F);
    FloatVector b2 = FloatVector.zero(F);
    FloatVector b3 = FloatVector.zero(F);
    for (int t = 0; t < tokens; t++) {
      long rows = p[t] + pAt;
      FloatVector columns =
          FloatVector.fromMemorySegment(F, ALL, (repeated + t * BYTES) & ADDRESS, LE);
      FloatVector a = FloatVector.fromMemorySegment(F, ALL, rows & ADDRESS, LE);
      FloatVector b = FloatVector.fromMemorySegment(F, ALL, (rows + BYTES) & ADDRESS, LE);
      a0 = a.rearrange(ROWS8_4).fma(columns, a0);
      a1 = a.rearrange(ROWS8_5).fma(columns, a1);
      a2 = a.rearrange(ROWS8_6).fma(columns, a2);
      a3 = a.rearrange(ROWS8_7).fma(columns, a3);
      b0 = b.rearrange(ROWS8_4).fma(columns, b0);
      b1 = b.rearrange(ROWS8_5).fma(columns, b1);
      b2 = b.rearrange(ROWS8_6).fma(columns, b2);
      b3 = b.rearrange(ROWS8_7).fma(columns, b3);
    }
    a0.intoMemorySegment(ALL, (sums + 4 * BYTES) & ADDRESS, LE);
    a1.intoMemorySegment(ALL, (sums + 5 * BYTES) & ADDRESS, LE);
    a2.intoMemorySegment(ALL, (sums + 6 * BYTES) & ADDRESS, LE);
    a3.intoMemorySegment(ALL, (sums + 7 * BYTES) & ADDRESS, LE);
    b0.intoMemorySegment(ALL, (sums + 12 * BYTES) & ADDRESS, LE);
    b1.intoMemorySegment(ALL, (sums + 13 * BYTES) & ADDRESS, LE);
    b2.intoMemorySegment(ALL, (sums + 14 * BYTES) & ADDRESS, LE);
    b3.intoMemorySegment(ALL, (sums + 15 * BYTES) & ADDRESS, LE);
  }
}
