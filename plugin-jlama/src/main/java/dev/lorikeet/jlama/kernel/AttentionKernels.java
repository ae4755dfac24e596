package dev.lorikeet.jlama.kernel;

import static dev.lorikeet.jlama.kernel.AttentionTile.LANES;
import static dev.lorikeet.jlama.kernel.AttentionTile.TILE;
import static dev.lorikeet.jlama.kernel.Lanes.BLOCK;
import static dev.lorikeet.jlama.kernel.Lanes.BLOCK_BYTES;
import static dev.lorikeet.jlama.kernel.Lanes.BYTES;
import static dev.lorikeet.jlama.kernel.Lanes.F;
import static dev.lorikeet.jlama.kernel.Lanes.L;
import static dev.lorikeet.jlama.kernel.Lanes.LE;
import static dev.lorikeet.jlama.kernel.NativeMemory.ADDRESS;
import static dev.lorikeet.jlama.kernel.NativeMemory.ALL;

import java.lang.foreign.ValueLayout;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorOperators;

/** The inner loops of {@link VectorPagedAttention}. */
final class AttentionKernels {
  private AttentionKernels() {}

  /** Clears floats, a multiple of 16 of them. */
  static void zero(long at, int count) {
    long a = at & ADDRESS;
    for (int i = 0; i < count / L; i++) {
      FloatVector.zero(F).intoMemorySegment(ALL, a + i * BYTES, LE);
    }
  }

  /**
   * Makes the scores of a tile relative to the largest score so far, and rescales what was summed
   * before when that has changed. Operands of a token's heads lie one after the other.
   *
   * @param scores {@code [heads][TILE]}: unscaled scores in; out, what to take the exponential of:
   *     -infinity from {@code visible} to the next multiple of LANES
   * @param heads how many
   * @param visible positions that count, 1 to TILE
   * @param scale factor of the scores
   * @param max {@code [heads]}: the largest scaled score so far
   * @param state {@code [heads][LANES]}: partial sums of the weights
   * @param out {@code [heads]} rows of weighted sums of values
   * @param rowBytes bytes of a row of {@code out}
   */
  static void relate(
      long scores,
      int heads,
      int visible,
      float scale,
      long max,
      long state,
      long out,
      long rowBytes) {
    int end = AttentionTile.computed(visible);
    for (int head = 0; head < heads; head++) {
      long sa = scores + (long) head * TILE * 4 & ADDRESS;
      FloatVector highest = FloatVector.broadcast(F, Float.NEGATIVE_INFINITY);
      for (int i = 0; i < end; i += L) {
        FloatVector s = FloatVector.fromMemorySegment(F, ALL, sa + i * 4L, LE).mul(scale);
        if (i + L > visible) {
          s = s.blend(Float.NEGATIVE_INFINITY, F.indexInRange(i, visible).not());
        }
        s.intoMemorySegment(ALL, sa + i * 4L, LE);
        highest = highest.blend(s, s.compare(VectorOperators.GT, highest));
      }
      if (L >= 16) {
        FloatVector other = highest.rearrange(Lanes.XOR8);
        highest = highest.blend(other, other.compare(VectorOperators.GT, highest));
      }
      if (L >= 8) {
        FloatVector other = highest.rearrange(Lanes.XOR4);
        highest = highest.blend(other, other.compare(VectorOperators.GT, highest));
      }
      FloatVector other = highest.rearrange(Lanes.XOR2);
      highest = highest.blend(other, other.compare(VectorOperators.GT, highest));
      other = highest.rearrange(Lanes.XOR1);
      highest = highest.blend(other, other.compare(VectorOperators.GT, highest));
      long maxAt = max + head * 4L & ADDRESS;
      float before = ALL.get(ValueLayout.JAVA_FLOAT, maxAt);
      float largest = highest.lane(0);
      float now = largest > before ? largest : before;
      if (now != before) {
        ALL.set(ValueLayout.JAVA_FLOAT, maxAt, now);
        if (before != Float.NEGATIVE_INFINITY) {
          float factor = (float) StrictMath.exp(before - now);
          rescale(factor, state + (long) head * LANES * 4, LANES);
          rescale(factor, out + head * rowBytes, (int) (rowBytes / 4));
        }
      }
      for (int i = 0; i < end; i += L) {
        FloatVector.fromMemorySegment(F, ALL, sa + i * 4L, LE)
            .sub(now)
            .intoMemorySegment(ALL, sa + i * 4L, LE);
      }
    }
  }

  /** Makes the first {@code count} scores of each head those of positions that do not count. */
  static void hide(long scores, int heads, int count) {
    for (int head = 0; head < heads; head++) {
      long sa = scores + (long) head * TILE * 4;
      for (int i = 0; i < count; i++) {
        NativeMemory.set(sa + i * 4L, Float.NEGATIVE_INFINITY);
      }
    }
  }

  /** Adds {@code count} weights of each head, a multiple of LANES, to its partial sums. */
  static void addWeights(long weights, int heads, int count, long state) {
    for (int head = 0; head < heads; head++) {
      long w = weights + (long) head * TILE * 4 & ADDRESS;
      long s = state + (long) head * LANES * 4 & ADDRESS;
      for (int lane = 0; lane < LANES; lane += L) {
        FloatVector sum = FloatVector.fromMemorySegment(F, ALL, s + lane * 4L, LE);
        for (int i = lane; i < count; i += LANES) {
          sum = sum.add(FloatVector.fromMemorySegment(F, ALL, w + i * 4L, LE));
        }
        sum.intoMemorySegment(ALL, s + lane * 4L, LE);
      }
    }
  }

  private static void rescale(float factor, long at, int count) {
    long a = at & ADDRESS;
    for (int i = 0; i < count / L; i++) {
      FloatVector.fromMemorySegment(F, ALL, a + i * BYTES, LE)
          .mul(factor)
          .intoMemorySegment(ALL, a + i * BYTES, LE);
    }
  }

  /**
   * Adds weighted values to four slots.
   *
   * @param weights {@code [4][TILE]}
   * @param positions how many of each
   * @param values {@code [positions]} rows at a distance of {@code rowBytes}
   * @param out {@code [4]} rows at the same distance
   * @param blocks blocks of a row
   */
  static void values4(
      long weights, int positions, long values, long rowBytes, long out, int blocks) {
    long w = weights & ADDRESS;
    for (int b = 0; b < blocks; b++) {
      long v = values + b * BLOCK_BYTES & ADDRESS;
      long o0 = out + b * BLOCK_BYTES & ADDRESS;
      long o1 = o0 + rowBytes & ADDRESS;
      long o2 = o1 + rowBytes & ADDRESS;
      long o3 = o2 + rowBytes & ADDRESS;
      FloatVector e0 = FloatVector.fromMemorySegment(F, ALL, o0, LE);
      FloatVector e1 = FloatVector.fromMemorySegment(F, ALL, o1, LE);
      FloatVector e2 = FloatVector.fromMemorySegment(F, ALL, o2, LE);
      FloatVector e3 = FloatVector.fromMemorySegment(F, ALL, o3, LE);
      FloatVector d0 = FloatVector.fromMemorySegment(F, ALL, o0 + BYTES, LE);
      FloatVector d1 = FloatVector.fromMemorySegment(F, ALL, o1 + BYTES, LE);
      FloatVector d2 = FloatVector.fromMemorySegment(F, ALL, o2 + BYTES, LE);
      FloatVector d3 = FloatVector.fromMemorySegment(F, ALL, o3 + BYTES, LE);
      for (int j = 0; j < positions; j++) {
        long row = v + j * rowBytes & ADDRESS;
        FloatVector even = FloatVector.fromMemorySegment(F, ALL, row, LE);
        FloatVector odd = FloatVector.fromMemorySegment(F, ALL, row + BYTES, LE);
        FloatVector w0 = FloatVector.broadcast(F, ALL.get(ValueLayout.JAVA_FLOAT, w + j * 4L));
        FloatVector w1 =
            FloatVector.broadcast(F, ALL.get(ValueLayout.JAVA_FLOAT, w + j * 4L + TILE * 4L));
        FloatVector w2 =
            FloatVector.broadcast(F, ALL.get(ValueLayout.JAVA_FLOAT, w + j * 4L + 2 * TILE * 4L));
        FloatVector w3 =
            FloatVector.broadcast(F, ALL.get(ValueLayout.JAVA_FLOAT, w + j * 4L + 3 * TILE * 4L));
        e0 = even.fma(w0, e0);
        e1 = even.fma(w1, e1);
        e2 = even.fma(w2, e2);
        e3 = even.fma(w3, e3);
        d0 = odd.fma(w0, d0);
        d1 = odd.fma(w1, d1);
        d2 = odd.fma(w2, d2);
        d3 = odd.fma(w3, d3);
      }
      e0.intoMemorySegment(ALL, o0, LE);
      e1.intoMemorySegment(ALL, o1, LE);
      e2.intoMemorySegment(ALL, o2, LE);
      e3.intoMemorySegment(ALL, o3, LE);
      d0.intoMemorySegment(ALL, o0 + BYTES, LE);
      d1.intoMemorySegment(ALL, o1 + BYTES, LE);
      d2.intoMemorySegment(ALL, o2 + BYTES, LE);
      d3.intoMemorySegment(ALL, o3 + BYTES, LE);
    }
  }

  /** Adds weighted values to one slot; see {@link #values4}. */
  static void values1(
      long weights, int positions, long values, long rowBytes, long out, int blocks) {
    long w = weights & ADDRESS;
    for (int b = 0; b < blocks; b++) {
      long v = values + b * BLOCK_BYTES & ADDRESS;
      long o = out + b * BLOCK_BYTES & ADDRESS;
      FloatVector e = FloatVector.fromMemorySegment(F, ALL, o, LE);
      FloatVector d = FloatVector.fromMemorySegment(F, ALL, o + BYTES, LE);
      for (int j = 0; j < positions; j++) {
        long row = v + j * rowBytes & ADDRESS;
        FloatVector weight = FloatVector.broadcast(F, ALL.get(ValueLayout.JAVA_FLOAT, w + j * 4L));
        e = FloatVector.fromMemorySegment(F, ALL, row, LE).fma(weight, e);
        d = FloatVector.fromMemorySegment(F, ALL, row + BYTES, LE).fma(weight, d);
      }
      e.intoMemorySegment(ALL, o, LE);
      d.intoMemorySegment(ALL, o + BYTES, LE);
    }
  }

  /**
   * Divides the weighted sums by the sum of the weights, joins evens and odds, and stores {@code
   * count} elements.
   */
  static void finish(long out, long state, int count, long to) {
    float total = 0;
    for (int i = 0; i < LANES; i++) {
      total += ALL.get(ValueLayout.JAVA_FLOAT, state + i * 4L);
    }
    float scale = 1 / total;
    long from = out & ADDRESS;
    long target = to & ADDRESS;
    int blocks = count / BLOCK;
    for (int b = 0; b < blocks; b++) {
      FloatVector even =
          FloatVector.fromMemorySegment(F, ALL, from + b * BLOCK_BYTES, LE).mul(scale);
      FloatVector odd =
          FloatVector.fromMemorySegment(F, ALL, from + b * BLOCK_BYTES + BYTES, LE).mul(scale);
      even.rearrange(Lanes.JOIN_LOW, odd).intoMemorySegment(ALL, target + b * BLOCK_BYTES, LE);
      even.rearrange(Lanes.JOIN_HIGH, odd)
          .intoMemorySegment(ALL, target + b * BLOCK_BYTES + BYTES, LE);
    }
    for (int i = blocks * BLOCK; i < count; i++) {
      float value =
          ALL.get(
              ValueLayout.JAVA_FLOAT,
              from + blocks * BLOCK_BYTES + WeightTile.place(i - blocks * BLOCK));
      ALL.set(ValueLayout.JAVA_FLOAT_UNALIGNED, target + i * 4L, value * scale);
    }
  }
}
