package dev.lorikeet.jlama.kernel;

import static dev.lorikeet.jlama.kernel.Lanes.BLOCK_BYTES;
import static dev.lorikeet.jlama.kernel.Lanes.BYTES;
import static dev.lorikeet.jlama.kernel.Lanes.F;
import static dev.lorikeet.jlama.kernel.Lanes.I;
import static dev.lorikeet.jlama.kernel.Lanes.L;
import static dev.lorikeet.jlama.kernel.Lanes.LE;
import static dev.lorikeet.jlama.kernel.NativeMemory.ADDRESS;
import static dev.lorikeet.jlama.kernel.NativeMemory.ALL;
import static dev.lorikeet.jlama.kernel.WeightTile.Q4_SHIFT;
import static dev.lorikeet.jlama.kernel.WeightTile.Q4_SPREAD;
import static java.lang.foreign.ValueLayout.JAVA_INT_UNALIGNED;
import static jdk.incubator.vector.VectorOperators.LSHR;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorSpecies;

/**
 * Register-blocked products of Q4 rows, read where they lie, with packed activations; the same
 * chains of FMAs as {@link F32Kernels} on the rows that {@link WeightTile} would have widened.
 *
 * <p>Operands as in {@link Bf16Kernels}, but for two or four rows, and the scales of the first row
 * and the distance between the scales of two rows. For vectors of 16 lanes only: then a block of 32
 * weights is a packed block.
 */
final class Q4Kernels {
  /*
   * Idea. A Q4 weight has 16 possible values in its block: the scale times -8 to 7. One multiplication makes them all,
   * a vector of 16; a nibble then picks its value by a shuffle (selectFrom, vpermd), scaled and rounded once as
   * WeightMatrix defines it. Converting nibbles to float32 and scaling each takes an operation more, and scaling the
   * sum of a block one more for each token.
   *
   * Layout. Evens and odds as everywhere. The 16 bytes of a block are spread so that lane i holds bytes 2 (i mod 8) and
   * 2 (i mod 8) + 1, and shifted so that its even nibble is lowest and its odd one 8 bits higher: low halves of the
   * bytes in lanes 0 to 7, high halves in 8 to 15.
   *
   * Inlining. Four rows at a time for one token, two for more: C2 inlines a larger kernel in part late, and then it may
   * box vectors. For the same reason there are no calls on what the reinterpretations return, whose type it knows late.
   *
   * Cost, foreseen: 8 operations for a row's block (spread, shift, shift for the odds, two masks that selectFrom adds,
   * two shuffles, one multiplication) and 2 FMAs for each token, two a cycle with 512-bit vectors: 5 cycles for one
   * token, 8 for four. Reading 20 bytes at 16 GB/s takes 4, so Q4 is bound by arithmetic. Measured from cache on the
   * machine of VectorMatMul, in cycles of 3.1 GHz: 6.0 and 10.4 (BF16, of which 2 and 5 are foreseen, takes 3.4 and
   * 8.4, and 12 to read its 64 bytes).
   */
  private static final long TOKEN_SUMS = MatMul.TILE_ROWS * BYTES;

  /** Whether vectors have the 16 lanes that these kernels need. */
  static final boolean AVAILABLE = L == 16;

  /** The 16 bytes of a block. */
  static final VectorSpecies<Integer> B = IntVector.SPECIES_128;

  /** Bytes of the nibbles of a block. */
  static final long BLOCK_NIBBLES = WeightMatrix.Q4_BLOCK / 2;

  /** What the nibbles 0 to 15 mean before they are scaled. */
  static final FloatVector LEVELS = FloatVector.zero(F).addIndex(1).sub(8);

  private Q4Kernels() {}

  /** Four rows of Q4 by one token. */
  static void rows4x1(
      long w,
      long rowStep,
      long scales,
      long scaleStep,
      long x,
      long sums,
      long sumStep,
      int blocks) {
    long twoRows = 2 * rowStep;
    long threeRows = 3 * rowStep;
    long scales2 = 2 * scaleStep;
    long scales3 = 3 * scaleStep;
    FloatVector s00 = FloatVector.zero(F);
    FloatVector s10 = FloatVector.zero(F);
    FloatVector s20 = FloatVector.zero(F);
    FloatVector s30 = FloatVector.zero(F);
    long end = w + blocks * BLOCK_NIBBLES;
    for (long wo = w, so = scales, xi = x;
        wo < end;
        wo += BLOCK_NIBBLES, so += Float.BYTES, xi += BLOCK_BYTES) {
      long xo = xi & ADDRESS;
      long w0 = wo & ADDRESS;
      long w1 = wo + rowStep & ADDRESS;
      long w2 = wo + twoRows & ADDRESS;
      long w3 = wo + threeRows & ADDRESS;
      IntVector b0 = (IntVector) IntVector.fromMemorySegment(B, ALL, w0, LE).reinterpretShape(I, 0);
      IntVector b1 = (IntVector) IntVector.fromMemorySegment(B, ALL, w1, LE).reinterpretShape(I, 0);
      IntVector b2 = (IntVector) IntVector.fromMemorySegment(B, ALL, w2, LE).reinterpretShape(I, 0);
      IntVector b3 = (IntVector) IntVector.fromMemorySegment(B, ALL, w3, LE).reinterpretShape(I, 0);
      IntVector p0 = Q4_SPREAD.selectFrom(b0).lanewise(LSHR, Q4_SHIFT);
      IntVector p1 = Q4_SPREAD.selectFrom(b1).lanewise(LSHR, Q4_SHIFT);
      IntVector p2 = Q4_SPREAD.selectFrom(b2).lanewise(LSHR, Q4_SHIFT);
      IntVector p3 = Q4_SPREAD.selectFrom(b3).lanewise(LSHR, Q4_SHIFT);
      IntVector f0 = IntVector.broadcast(I, ALL.get(JAVA_INT_UNALIGNED, so & ADDRESS));
      IntVector f1 = IntVector.broadcast(I, ALL.get(JAVA_INT_UNALIGNED, so + scaleStep & ADDRESS));
      IntVector f2 = IntVector.broadcast(I, ALL.get(JAVA_INT_UNALIGNED, so + scales2 & ADDRESS));
      IntVector f3 = IntVector.broadcast(I, ALL.get(JAVA_INT_UNALIGNED, so + scales3 & ADDRESS));
      IntVector v0 = LEVELS.mul(f0.reinterpretAsFloats()).reinterpretAsInts();
      IntVector v1 = LEVELS.mul(f1.reinterpretAsFloats()).reinterpretAsInts();
      IntVector v2 = LEVELS.mul(f2.reinterpretAsFloats()).reinterpretAsInts();
      IntVector v3 = LEVELS.mul(f3.reinterpretAsFloats()).reinterpretAsInts();
      IntVector c0 = p0.selectFrom(v0);
      FloatVector e0 = c0.reinterpretAsFloats();
      IntVector c1 = p1.selectFrom(v1);
      FloatVector e1 = c1.reinterpretAsFloats();
      IntVector c2 = p2.selectFrom(v2);
      FloatVector e2 = c2.reinterpretAsFloats();
      IntVector c3 = p3.selectFrom(v3);
      FloatVector e3 = c3.reinterpretAsFloats();
      FloatVector x0 = FloatVector.fromMemorySegment(F, ALL, xo, LE);
      s00 = x0.fma(e0, s00);
      s10 = x0.fma(e1, s10);
      s20 = x0.fma(e2, s20);
      s30 = x0.fma(e3, s30);
      IntVector d0 = p0.lanewise(LSHR, 8).selectFrom(v0);
      FloatVector o0 = d0.reinterpretAsFloats();
      IntVector d1 = p1.lanewise(LSHR, 8).selectFrom(v1);
      FloatVector o1 = d1.reinterpretAsFloats();
      IntVector d2 = p2.lanewise(LSHR, 8).selectFrom(v2);
      FloatVector o2 = d2.reinterpretAsFloats();
      IntVector d3 = p3.lanewise(LSHR, 8).selectFrom(v3);
      FloatVector o3 = d3.reinterpretAsFloats();
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

  /** Two rows of Q4 by two tokens. */
  static void rows2x2(
      long w,
      long rowStep,
      long scales,
      long scaleStep,
      long x,
      long sums,
      long sumStep,
      int blocks) {
    FloatVector s00 = FloatVector.zero(F);
    FloatVector s01 = FloatVector.zero(F);
    FloatVector s10 = FloatVector.zero(F);
    FloatVector s11 = FloatVector.zero(F);
    long end = w + blocks * BLOCK_NIBBLES;
    for (long wo = w, so = scales, xi = x;
        wo < end;
        wo += BLOCK_NIBBLES, so += Float.BYTES, xi += 2 * BLOCK_BYTES) {
      long xo = xi & ADDRESS;
      long w0 = wo & ADDRESS;
      long w1 = wo + rowStep & ADDRESS;
      IntVector b0 = (IntVector) IntVector.fromMemorySegment(B, ALL, w0, LE).reinterpretShape(I, 0);
      IntVector b1 = (IntVector) IntVector.fromMemorySegment(B, ALL, w1, LE).reinterpretShape(I, 0);
      IntVector p0 = Q4_SPREAD.selectFrom(b0).lanewise(LSHR, Q4_SHIFT);
      IntVector p1 = Q4_SPREAD.selectFrom(b1).lanewise(LSHR, Q4_SHIFT);
      IntVector f0 = IntVector.broadcast(I, ALL.get(JAVA_INT_UNALIGNED, so & ADDRESS));
      IntVector f1 = IntVector.broadcast(I, ALL.get(JAVA_INT_UNALIGNED, so + scaleStep & ADDRESS));
      IntVector v0 = LEVELS.mul(f0.reinterpretAsFloats()).reinterpretAsInts();
      IntVector v1 = LEVELS.mul(f1.reinterpretAsFloats()).reinterpretAsInts();
      IntVector c0 = p0.selectFrom(v0);
      FloatVector e0 = c0.reinterpretAsFloats();
      IntVector c1 = p1.selectFrom(v1);
      FloatVector e1 = c1.reinterpretAsFloats();
      FloatVector x0 = FloatVector.fromMemorySegment(F, ALL, xo, LE);
      s00 = x0.fma(e0, s00);
      s10 = x0.fma(e1, s10);
      FloatVector x1 = FloatVector.fromMemorySegment(F, ALL, xo + 2 * BYTES, LE);
      s01 = x1.fma(e0, s01);
      s11 = x1.fma(e1, s11);
      IntVector d0 = p0.lanewise(LSHR, 8).selectFrom(v0);
      FloatVector o0 = d0.reinterpretAsFloats();
      IntVector d1 = p1.lanewise(LSHR, 8).selectFrom(v1);
      FloatVector o1 = d1.reinterpretAsFloats();
      FloatVector y0 = FloatVector.fromMemorySegment(F, ALL, xo + BYTES, LE);
      s00 = y0.fma(o0, s00);
      s10 = y0.fma(o1, s10);
      FloatVector y1 = FloatVector.fromMemorySegment(F, ALL, xo + 3 * BYTES, LE);
      s01 = y1.fma(o0, s01);
      s11 = y1.fma(o1, s11);
    }
    long a0 = sums & ADDRESS;
    long a1 = sums + sumStep & ADDRESS;
    s00.intoMemorySegment(ALL, a0, LE);
    s10.intoMemorySegment(ALL, a1, LE);
    s01.intoMemorySegment(ALL, a0 + TOKEN_SUMS, LE);
    s11.intoMemorySegment(ALL, a1 + TOKEN_SUMS, LE);
  }

  /** Two rows of Q4 by four tokens. */
  static void rows2x4(
      long w,
      long rowStep,
      long scales,
      long scaleStep,
      long x,
      long sums,
      long sumStep,
      int blocks) {
    FloatVector s00 = FloatVector.zero(F);
    FloatVector s01 = FloatVector.zero(F);
    FloatVector s02 = FloatVector.zero(F);
    FloatVector s03 = FloatVector.zero(F);
    FloatVector s10 = FloatVector.zero(F);
    FloatVector s11 = FloatVector.zero(F);
    FloatVector s12 = FloatVector.zero(F);
    FloatVector s13 = FloatVector.zero(F);
    long end = w + blocks * BLOCK_NIBBLES;
    for (long wo = w, so = scales, xi = x;
        wo < end;
        wo += BLOCK_NIBBLES, so += Float.BYTES, xi += 4 * BLOCK_BYTES) {
      long xo = xi & ADDRESS;
      long w0 = wo & ADDRESS;
      long w1 = wo + rowStep & ADDRESS;
      IntVector b0 = (IntVector) IntVector.fromMemorySegment(B, ALL, w0, LE).reinterpretShape(I, 0);
      IntVector b1 = (IntVector) IntVector.fromMemorySegment(B, ALL, w1, LE).reinterpretShape(I, 0);
      IntVector p0 = Q4_SPREAD.selectFrom(b0).lanewise(LSHR, Q4_SHIFT);
      IntVector p1 = Q4_SPREAD.selectFrom(b1).lanewise(LSHR, Q4_SHIFT);
      IntVector f0 = IntVector.broadcast(I, ALL.get(JAVA_INT_UNALIGNED, so & ADDRESS));
      IntVector f1 = IntVector.broadcast(I, ALL.get(JAVA_INT_UNALIGNED, so + scaleStep & ADDRESS));
      IntVector v0 = LEVELS.mul(f0.reinterpretAsFloats()).reinterpretAsInts();
      IntVector v1 = LEVELS.mul(f1.reinterpretAsFloats()).reinterpretAsInts();
      IntVector c0 = p0.selectFrom(v0);
      FloatVector e0 = c0.reinterpretAsFloats();
      IntVector c1 = p1.selectFrom(v1);
      FloatVector e1 = c1.reinterpretAsFloats();
      FloatVector x0 = FloatVector.fromMemorySegment(F, ALL, xo, LE);
      s00 = x0.fma(e0, s00);
      s10 = x0.fma(e1, s10);
      FloatVector x1 = FloatVector.fromMemorySegment(F, ALL, xo + 2 * BYTES, LE);
      s01 = x1.fma(e0, s01);
      s11 = x1.fma(e1, s11);
      FloatVector x2 = FloatVector.fromMemorySegment(F, ALL, xo + 4 * BYTES, LE);
      s02 = x2.fma(e0, s02);
      s12 = x2.fma(e1, s12);
      FloatVector x3 = FloatVector.fromMemorySegment(F, ALL, xo + 6 * BYTES, LE);
      s03 = x3.fma(e0, s03);
      s13 = x3.fma(e1, s13);
      IntVector d0 = p0.lanewise(LSHR, 8).selectFrom(v0);
      FloatVector o0 = d0.reinterpretAsFloats();
      IntVector d1 = p1.lanewise(LSHR, 8).selectFrom(v1);
      FloatVector o1 = d1.reinterpretAsFloats();
      FloatVector y0 = FloatVector.fromMemorySegment(F, ALL, xo + BYTES, LE);
      s00 = y0.fma(o0, s00);
      s10 = y0.fma(o1, s10);
      FloatVector y1 = FloatVector.fromMemorySegment(F, ALL, xo + 3 * BYTES, LE);
      s01 = y1.fma(o0, s01);
      s11 = y1.fma(o1, s11);
      FloatVector y2 = FloatVector.fromMemorySegment(F, ALL, xo + 5 * BYTES, LE);
      s02 = y2.fma(o0, s02);
      s12 = y2.fma(o1, s12);
      FloatVector y3 = FloatVector.fromMemorySegment(F, ALL, xo + 7 * BYTES, LE);
      s03 = y3.fma(o0, s03);
      s13 = y3.fma(o1, s13);
    }
    long a0 = sums & ADDRESS;
    long a1 = sums + sumStep & ADDRESS;
    s00.intoMemorySegment(ALL, a0, LE);
    s10.intoMemorySegment(ALL, a1, LE);
    s01.intoMemorySegment(ALL, a0 + TOKEN_SUMS, LE);
    s11.intoMemorySegment(ALL, a1 + TOKEN_SUMS, LE);
    s02.intoMemorySegment(ALL, a0 + 2 * TOKEN_SUMS, LE);
    s12.intoMemorySegment(ALL, a1 + 2 * TOKEN_SUMS, LE);
    s03.intoMemorySegment(ALL, a0 + 3 * TOKEN_SUMS, LE);
    s13.intoMemorySegment(ALL, a1 + 3 * TOKEN_SUMS, LE);
  }
}
