package dev.lorikeet.jlama.kernel;

import static dev.lorikeet.jlama.kernel.NativeMemory.ADDRESS;
import static dev.lorikeet.jlama.kernel.NativeMemory.ALL;

import java.nio.ByteOrder;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorShuffle;
import jdk.incubator.vector.VectorSpecies;

/** The vector shapes of all kernels, and sums across lanes in a fixed order. */
final class Lanes {
  /** The machine's preferred width, at most 512 bits. */
  static final VectorSpecies<Float> F =
      FloatVector.SPECIES_PREFERRED.length() > 16
          ? FloatVector.SPECIES_512
          : FloatVector.SPECIES_PREFERRED;

  static final VectorSpecies<Integer> I =
      IntVector.SPECIES_PREFERRED.length() > 16
          ? IntVector.SPECIES_512
          : IntVector.SPECIES_PREFERRED;

  static final ByteOrder LE = ByteOrder.LITTLE_ENDIAN;

  /** Lanes of a vector: 4, 8 or 16. */
  static final int L = F.length();

  /** Bytes of a vector. */
  static final long BYTES = F.vectorByteSize();

  /**
   * Elements of a block: what one vector of BF16 pairs holds. A block of x is packed as a vector of
   * its even and a vector of its odd elements.
   */
  static final int BLOCK = 2 * L;

  /** Bytes of a block of float32. */
  static final long BLOCK_BYTES = 2 * BYTES;

  static final VectorShuffle<Float> EVEN = VectorShuffle.makeUnzip(F, 0);
  static final VectorShuffle<Float> ODD = VectorShuffle.makeUnzip(F, 1);
  static final VectorShuffle<Float> JOIN_LOW = VectorShuffle.makeZip(F, 0);
  static final VectorShuffle<Float> JOIN_HIGH = VectorShuffle.makeZip(F, 1);

  private static final VectorMask<Float> BIT1 = laneBit(1);
  private static final VectorMask<Float> BIT2 = laneBit(2);
  private static final VectorMask<Float> BIT4 = laneBit(4);
  private static final VectorMask<Float> BIT8 = laneBit(8);
  static final VectorShuffle<Float> XOR1 = VectorShuffle.fromOp(F, i -> (i ^ 1) & L - 1);
  static final VectorShuffle<Float> XOR2 = VectorShuffle.fromOp(F, i -> (i ^ 2) & L - 1);
  static final VectorShuffle<Float> XOR4 = VectorShuffle.fromOp(F, i -> (i ^ 4) & L - 1);
  static final VectorShuffle<Float> XOR8 = VectorShuffle.fromOp(F, i -> (i ^ 8) & L - 1);

  private Lanes() {}

  private static VectorMask<Float> laneBit(int bit) {
    VectorMask<Float> mask = F.maskAll(false);
    long bits = 0;
    for (int i = 0; i < L; i++) {
      bits |= (i & bit) != 0 ? 1L << i : 0;
    }
    return mask.or(VectorMask.fromLong(F, bits));
  }

  /**
   * Sums L vectors across their lanes and stores the first {@code count} sums: element i at {@code
   * to} is the sum of the vector at {@code at + i * BYTES}. A tree of L - 1 merges; a merge halves
   * two vectors and packs the halves into one, with one shuffle. Lanes i and i ^ L/2 are added
   * first, then i ^ L/4, ..., whichever vector it is. One straight method for each width: a vector
   * that crosses a call would be boxed.
   */
  static void sums(long at, long to, int count) {
    switch (L) {
      case 16 -> sums16(at & ADDRESS, to & ADDRESS, count);
      case 8 -> sums8(at & ADDRESS, to & ADDRESS, count);
      default -> sums4(at & ADDRESS, to & ADDRESS, count);
    }
  }

  private static void sums16(long a, long to, int count) {
    FloatVector v0 = FloatVector.fromMemorySegment(F, ALL, a, LE);
    FloatVector v8 = FloatVector.fromMemorySegment(F, ALL, a + 8 * BYTES, LE);
    FloatVector m0 = v0.blend(v8, BIT8).add(v8.blend(v0, BIT8).rearrange(XOR8));
    FloatVector v4 = FloatVector.fromMemorySegment(F, ALL, a + 4 * BYTES, LE);
    FloatVector v12 = FloatVector.fromMemorySegment(F, ALL, a + 12 * BYTES, LE);
    FloatVector m1 = v4.blend(v12, BIT8).add(v12.blend(v4, BIT8).rearrange(XOR8));
    FloatVector m2 = m0.blend(m1, BIT4).add(m1.blend(m0, BIT4).rearrange(XOR4));
    FloatVector v2 = FloatVector.fromMemorySegment(F, ALL, a + 2 * BYTES, LE);
    FloatVector v10 = FloatVector.fromMemorySegment(F, ALL, a + 10 * BYTES, LE);
    FloatVector m3 = v2.blend(v10, BIT8).add(v10.blend(v2, BIT8).rearrange(XOR8));
    FloatVector v6 = FloatVector.fromMemorySegment(F, ALL, a + 6 * BYTES, LE);
    FloatVector v14 = FloatVector.fromMemorySegment(F, ALL, a + 14 * BYTES, LE);
    FloatVector m4 = v6.blend(v14, BIT8).add(v14.blend(v6, BIT8).rearrange(XOR8));
    FloatVector m5 = m3.blend(m4, BIT4).add(m4.blend(m3, BIT4).rearrange(XOR4));
    FloatVector m6 = m2.blend(m5, BIT2).add(m5.blend(m2, BIT2).rearrange(XOR2));
    FloatVector v1 = FloatVector.fromMemorySegment(F, ALL, a + BYTES, LE);
    FloatVector v9 = FloatVector.fromMemorySegment(F, ALL, a + 9 * BYTES, LE);
    FloatVector m7 = v1.blend(v9, BIT8).add(v9.blend(v1, BIT8).rearrange(XOR8));
    FloatVector v5 = FloatVector.fromMemorySegment(F, ALL, a + 5 * BYTES, LE);
    FloatVector v13 = FloatVector.fromMemorySegment(F, ALL, a + 13 * BYTES, LE);
    FloatVector m8 = v5.blend(v13, BIT8).add(v13.blend(v5, BIT8).rearrange(XOR8));
    FloatVector m9 = m7.blend(m8, BIT4).add(m8.blend(m7, BIT4).rearrange(XOR4));
    FloatVector v3 = FloatVector.fromMemorySegment(F, ALL, a + 3 * BYTES, LE);
    FloatVector v11 = FloatVector.fromMemorySegment(F, ALL, a + 11 * BYTES, LE);
    FloatVector m10 = v3.blend(v11, BIT8).add(v11.blend(v3, BIT8).rearrange(XOR8));
    FloatVector v7 = FloatVector.fromMemorySegment(F, ALL, a + 7 * BYTES, LE);
    FloatVector v15 = FloatVector.fromMemorySegment(F, ALL, a + 15 * BYTES, LE);
    FloatVector m11 = v7.blend(v15, BIT8).add(v15.blend(v7, BIT8).rearrange(XOR8));
    FloatVector m12 = m10.blend(m11, BIT4).add(m11.blend(m10, BIT4).rearrange(XOR4));
    FloatVector m13 = m9.blend(m12, BIT2).add(m12.blend(m9, BIT2).rearrange(XOR2));
    FloatVector m14 = m6.blend(m13, BIT1).add(m13.blend(m6, BIT1).rearrange(XOR1));
    if (count >= L) {
      m14.intoMemorySegment(ALL, to, LE);
    } else {
      m14.intoMemorySegment(ALL, to, LE, F.indexInRange(0, count));
    }
  }

  private static void sums8(long a, long to, int count) {
    FloatVector v0 = FloatVector.fromMemorySegment(F, ALL, a, LE);
    FloatVector v4 = FloatVector.fromMemorySegment(F, ALL, a + 4 * BYTES, LE);
    FloatVector m0 = v0.blend(v4, BIT4).add(v4.blend(v0, BIT4).rearrange(XOR4));
    FloatVector v2 = FloatVector.fromMemorySegment(F, ALL, a + 2 * BYTES, LE);
    FloatVector v6 = FloatVector.fromMemorySegment(F, ALL, a + 6 * BYTES, LE);
    FloatVector m1 = v2.blend(v6, BIT4).add(v6.blend(v2, BIT4).rearrange(XOR4));
    FloatVector m2 = m0.blend(m1, BIT2).add(m1.blend(m0, BIT2).rearrange(XOR2));
    FloatVector v1 = FloatVector.fromMemorySegment(F, ALL, a + BYTES, LE);
    FloatVector v5 = FloatVector.fromMemorySegment(F, ALL, a + 5 * BYTES, LE);
    FloatVector m3 = v1.blend(v5, BIT4).add(v5.blend(v1, BIT4).rearrange(XOR4));
    FloatVector v3 = FloatVector.fromMemorySegment(F, ALL, a + 3 * BYTES, LE);
    FloatVector v7 = FloatVector.fromMemorySegment(F, ALL, a + 7 * BYTES, LE);
    FloatVector m4 = v3.blend(v7, BIT4).add(v7.blend(v3, BIT4).rearrange(XOR4));
    FloatVector m5 = m3.blend(m4, BIT2).add(m4.blend(m3, BIT2).rearrange(XOR2));
    FloatVector m6 = m2.blend(m5, BIT1).add(m5.blend(m2, BIT1).rearrange(XOR1));
    if (count >= L) {
      m6.intoMemorySegment(ALL, to, LE);
    } else {
      m6.intoMemorySegment(ALL, to, LE, F.indexInRange(0, count));
    }
  }

  private static void sums4(long a, long to, int count) {
    FloatVector v0 = FloatVector.fromMemorySegment(F, ALL, a, LE);
    FloatVector v2 = FloatVector.fromMemorySegment(F, ALL, a + 2 * BYTES, LE);
    FloatVector m0 = v0.blend(v2, BIT2).add(v2.blend(v0, BIT2).rearrange(XOR2));
    FloatVector v1 = FloatVector.fromMemorySegment(F, ALL, a + BYTES, LE);
    FloatVector v3 = FloatVector.fromMemorySegment(F, ALL, a + 3 * BYTES, LE);
    FloatVector m1 = v1.blend(v3, BIT2).add(v3.blend(v1, BIT2).rearrange(XOR2));
    FloatVector m2 = m0.blend(m1, BIT1).add(m1.blend(m0, BIT1).rearrange(XOR1));
    if (count >= L) {
      m2.intoMemorySegment(ALL, to, LE);
    } else {
      m2.intoMemorySegment(ALL, to, LE, F.indexInRange(0, count));
    }
  }
}
