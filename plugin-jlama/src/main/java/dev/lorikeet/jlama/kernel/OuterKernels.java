package dev.lorikeet.jlama.kernel;

import static dev.lorikeet.jlama.kernel.Lanes.BYTES;
import static dev.lorikeet.jlama.kernel.Lanes.F;
import static dev.lorikeet.jlama.kernel.Lanes.L;
import static dev.lorikeet.jlama.kernel.Lanes.LE;
import static dev.lorikeet.jlama.kernel.NativeMemory.ADDRESS;
import static dev.lorikeet.jlama.kernel.NativeMemory.ALL;
import static dev.lorikeet.jlama.kernel.NativeMemory.FLOAT;

import jdk.incubator.vector.FloatVector;

/**
 * Register-blocked sums of outer products, the one inner loop of all backward products: {@code c[t]
 * += sum over k of a[t, k] * b[k]} for a block of 2 L columns. An element is one chain of FMAs in
 * the order of k that begins with what is there, so it depends neither on how many tokens are taken
 * at once nor on how k is cut.
 *
 * <p>Operands: the first scalar of the first token, bytes between tokens and between steps of k;
 * the block of {@code b}, whose rows follow one another; the block of the first token's {@code c},
 * bytes between tokens; and the number of steps.
 */
final class OuterKernels {
  /*
   * Idea. A product with W in its own order (dx = dy W) has no sums across lanes: a row of W is scaled by a scalar of
   * each token and added. Eight tokens by two vectors are 16 sums in registers; a step loads two vectors and eight
   * scalars for 16 FMAs, 10 loads in the time of 16 multiply-adds (8 cycles with two units). With fewer than 32
   * registers (vectors of 8 lanes or less) four tokens are all that fits.
   */

  /** The most tokens taken at once. */
  static final int TOKENS = L == 16 ? 8 : 4;

  private OuterKernels() {}

  /** Adds products to {@code tokens} rows of c, TOKENS at a time, then four, then one. */
  static void add(
      int tokens,
      long a,
      long aToken,
      long aStep,
      long b,
      long bStep,
      long c,
      long cToken,
      int depth) {
    int t = 0;
    if (TOKENS == 8) {
      for (; t + 8 <= tokens; t += 8) {
        tokens8(a + t * aToken, aToken, aStep, b, bStep, c + t * cToken, cToken, depth);
      }
    }
    for (; t + 4 <= tokens; t += 4) {
      tokens4(a + t * aToken, aToken, aStep, b, bStep, c + t * cToken, cToken, depth);
    }
    for (; t < tokens; t++) {
      tokens1(a + t * aToken, aToken, aStep, b, bStep, c + t * cToken, cToken, depth);
    }
  }

  /** Eight tokens. */
  static void tokens8(
      long a, long aToken, long aStep, long b, long bStep, long c, long cToken, int depth) {
    long two = 2 * aToken;
    long three = 3 * aToken;
    long c1 = c + cToken;
    long c2 = c1 + cToken;
    long c3 = c2 + cToken;
    long four = 4 * aToken;
    long c4 = c3 + cToken;
    long c5 = c4 + cToken;
    long c6 = c5 + cToken;
    long c7 = c6 + cToken;
    FloatVector p0 = FloatVector.fromMemorySegment(F, ALL, c & ADDRESS, LE);
    FloatVector q0 = FloatVector.fromMemorySegment(F, ALL, c + BYTES & ADDRESS, LE);
    FloatVector p1 = FloatVector.fromMemorySegment(F, ALL, c1 & ADDRESS, LE);
    FloatVector q1 = FloatVector.fromMemorySegment(F, ALL, c1 + BYTES & ADDRESS, LE);
    FloatVector p2 = FloatVector.fromMemorySegment(F, ALL, c2 & ADDRESS, LE);
    FloatVector q2 = FloatVector.fromMemorySegment(F, ALL, c2 + BYTES & ADDRESS, LE);
    FloatVector p3 = FloatVector.fromMemorySegment(F, ALL, c3 & ADDRESS, LE);
    FloatVector q3 = FloatVector.fromMemorySegment(F, ALL, c3 + BYTES & ADDRESS, LE);
    FloatVector p4 = FloatVector.fromMemorySegment(F, ALL, c4 & ADDRESS, LE);
    FloatVector q4 = FloatVector.fromMemorySegment(F, ALL, c4 + BYTES & ADDRESS, LE);
    FloatVector p5 = FloatVector.fromMemorySegment(F, ALL, c5 & ADDRESS, LE);
    FloatVector q5 = FloatVector.fromMemorySegment(F, ALL, c5 + BYTES & ADDRESS, LE);
    FloatVector p6 = FloatVector.fromMemorySegment(F, ALL, c6 & ADDRESS, LE);
    FloatVector q6 = FloatVector.fromMemorySegment(F, ALL, c6 + BYTES & ADDRESS, LE);
    FloatVector p7 = FloatVector.fromMemorySegment(F, ALL, c7 & ADDRESS, LE);
    FloatVector q7 = FloatVector.fromMemorySegment(F, ALL, c7 + BYTES & ADDRESS, LE);
    long bo = b;
    long ao = a;
    for (int k = 0; k < depth; k++, bo += bStep, ao += aStep) {
      FloatVector low = FloatVector.fromMemorySegment(F, ALL, bo & ADDRESS, LE);
      FloatVector high = FloatVector.fromMemorySegment(F, ALL, bo + BYTES & ADDRESS, LE);
      long ah = ao + four;
      FloatVector a0 = FloatVector.broadcast(F, ALL.get(FLOAT, ao & ADDRESS));
      p0 = low.fma(a0, p0);
      q0 = high.fma(a0, q0);
      FloatVector a1 = FloatVector.broadcast(F, ALL.get(FLOAT, ao + aToken & ADDRESS));
      p1 = low.fma(a1, p1);
      q1 = high.fma(a1, q1);
      FloatVector a2 = FloatVector.broadcast(F, ALL.get(FLOAT, ao + two & ADDRESS));
      p2 = low.fma(a2, p2);
      q2 = high.fma(a2, q2);
      FloatVector a3 = FloatVector.broadcast(F, ALL.get(FLOAT, ao + three & ADDRESS));
      p3 = low.fma(a3, p3);
      q3 = high.fma(a3, q3);
      FloatVector a4 = FloatVector.broadcast(F, ALL.get(FLOAT, ah & ADDRESS));
      p4 = low.fma(a4, p4);
      q4 = high.fma(a4, q4);
      FloatVector a5 = FloatVector.broadcast(F, ALL.get(FLOAT, ah + aToken & ADDRESS));
      p5 = low.fma(a5, p5);
      q5 = high.fma(a5, q5);
      FloatVector a6 = FloatVector.broadcast(F, ALL.get(FLOAT, ah + two & ADDRESS));
      p6 = low.fma(a6, p6);
      q6 = high.fma(a6, q6);
      FloatVector a7 = FloatVector.broadcast(F, ALL.get(FLOAT, ah + three & ADDRESS));
      p7 = low.fma(a7, p7);
      q7 = high.fma(a7, q7);
    }
    p0.intoMemorySegment(ALL, c & ADDRESS, LE);
    q0.intoMemorySegment(ALL, c + BYTES & ADDRESS, LE);
    p1.intoMemorySegment(ALL, c1 & ADDRESS, LE);
    q1.intoMemorySegment(ALL, c1 + BYTES & ADDRESS, LE);
    p2.intoMemorySegment(ALL, c2 & ADDRESS, LE);
    q2.intoMemorySegment(ALL, c2 + BYTES & ADDRESS, LE);
    p3.intoMemorySegment(ALL, c3 & ADDRESS, LE);
    q3.intoMemorySegment(ALL, c3 + BYTES & ADDRESS, LE);
    p4.intoMemorySegment(ALL, c4 & ADDRESS, LE);
    q4.intoMemorySegment(ALL, c4 + BYTES & ADDRESS, LE);
    p5.intoMemorySegment(ALL, c5 & ADDRESS, LE);
    q5.intoMemorySegment(ALL, c5 + BYTES & ADDRESS, LE);
    p6.intoMemorySegment(ALL, c6 & ADDRESS, LE);
    q6.intoMemorySegment(ALL, c6 + BYTES & ADDRESS, LE);
    p7.intoMemorySegment(ALL, c7 & ADDRESS, LE);
    q7.intoMemorySegment(ALL, c7 + BYTES & ADDRESS, LE);
  }

  /** Four tokens. */
  static void tokens4(
      long a, long aToken, long aStep, long b, long bStep, long c, long cToken, int depth) {
    long two = 2 * aToken;
    long three = 3 * aToken;
    long c1 = c + cToken;
    long c2 = c1 + cToken;
    long c3 = c2 + cToken;
    FloatVector p0 = FloatVector.fromMemorySegment(F, ALL, c & ADDRESS, LE);
    FloatVector q0 = FloatVector.fromMemorySegment(F, ALL, c + BYTES & ADDRESS, LE);
    FloatVector p1 = FloatVector.fromMemorySegment(F, ALL, c1 & ADDRESS, LE);
    FloatVector q1 = FloatVector.fromMemorySegment(F, ALL, c1 + BYTES & ADDRESS, LE);
    FloatVector p2 = FloatVector.fromMemorySegment(F, ALL, c2 & ADDRESS, LE);
    FloatVector q2 = FloatVector.fromMemorySegment(F, ALL, c2 + BYTES & ADDRESS, LE);
    FloatVector p3 = FloatVector.fromMemorySegment(F, ALL, c3 & ADDRESS, LE);
    FloatVector q3 = FloatVector.fromMemorySegment(F, ALL, c3 + BYTES & ADDRESS, LE);
    long bo = b;
    long ao = a;
    for (int k = 0; k < depth; k++, bo += bStep, ao += aStep) {
      FloatVector low = FloatVector.fromMemorySegment(F, ALL, bo & ADDRESS, LE);
      FloatVector high = FloatVector.fromMemorySegment(F, ALL, bo + BYTES & ADDRESS, LE);
      FloatVector a0 = FloatVector.broadcast(F, ALL.get(FLOAT, ao & ADDRESS));
      p0 = low.fma(a0, p0);
      q0 = high.fma(a0, q0);
      FloatVector a1 = FloatVector.broadcast(F, ALL.get(FLOAT, ao + aToken & ADDRESS));
      p1 = low.fma(a1, p1);
      q1 = high.fma(a1, q1);
      FloatVector a2 = FloatVector.broadcast(F, ALL.get(FLOAT, ao + two & ADDRESS));
      p2 = low.fma(a2, p2);
      q2 = high.fma(a2, q2);
      FloatVector a3 = FloatVector.broadcast(F, ALL.get(FLOAT, ao + three & ADDRESS));
      p3 = low.fma(a3, p3);
      q3 = high.fma(a3, q3);
    }
    p0.intoMemorySegment(ALL, c & ADDRESS, LE);
    q0.intoMemorySegment(ALL, c + BYTES & ADDRESS, LE);
    p1.intoMemorySegment(ALL, c1 & ADDRESS, LE);
    q1.intoMemorySegment(ALL, c1 + BYTES & ADDRESS, LE);
    p2.intoMemorySegment(ALL, c2 & ADDRESS, LE);
    q2.intoMemorySegment(ALL, c2 + BYTES & ADDRESS, LE);
    p3.intoMemorySegment(ALL, c3 & ADDRESS, LE);
    q3.intoMemorySegment(ALL, c3 + BYTES & ADDRESS, LE);
  }

  /** One token. */
  static void tokens1(
      long a, long aToken, long aStep, long b, long bStep, long c, long cToken, int depth) {
    FloatVector p0 = FloatVector.fromMemorySegment(F, ALL, c & ADDRESS, LE);
    FloatVector q0 = FloatVector.fromMemorySegment(F, ALL, c + BYTES & ADDRESS, LE);
    long bo = b;
    long ao = a;
    for (int k = 0; k < depth; k++, bo += bStep, ao += aStep) {
      FloatVector low = FloatVector.fromMemorySegment(F, ALL, bo & ADDRESS, LE);
      FloatVector high = FloatVector.fromMemorySegment(F, ALL, bo + BYTES & ADDRESS, LE);
      FloatVector a0 = FloatVector.broadcast(F, ALL.get(FLOAT, ao & ADDRESS));
      p0 = low.fma(a0, p0);
      q0 = high.fma(a0, q0);
    }
    p0.intoMemorySegment(ALL, c & ADDRESS, LE);
    q0.intoMemorySegment(ALL, c + BYTES & ADDRESS, LE);
  }
}
