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
public final class Lanes {
  /*
   * A block is two vectors of float32: 2 L elements. 16-bit elements are loaded as L ints, of which a shift makes the
   * even elements and a mask the odd ones: two operations per block, where widening shorts lane by lane takes four and
   * the one shuffle port. So every float32 companion of 16-bit weights (packed inputs, sums under way) is kept in the
   * order evens, odds, block by block, and brought back to natural order once at the end.
   *
   * Loops call the Vector API directly, not through small methods of ours: in a large compilation the compiler stops
   * inlining such methods, and a vector that is passed or returned becomes an object.
   *
   * Sums over lanes are trees of fixed shape, never reduceLanes, whose order is not specified and differs between
   * interpreter and compiler.
   */

  /** The machine's preferred width, at most 512 bits. */
  public static final VectorSpecies<Float> F =
      FloatVector.SPECIES_PREFERRED.length() > 16
          ? FloatVector.SPECIES_512
          : FloatVector.SPECIES_PREFERRED;

  /** As many ints. */
  public static final VectorSpecies<Integer> I =
      IntVector.SPECIES_PREFERRED.length() > 16
          ? IntVector.SPECIES_512
          : IntVector.SPECIES_PREFERRED;

  /** The order of bytes in memory. */
  public static final ByteOrder LE = ByteOrder.LITTLE_ENDIAN;

  /** Lanes of a vector: 4, 8 or 16. */
  public static final int L = F.length();

  /** Bytes of a vector. */
  public static final long BYTES = F.vectorByteSize();

  /**
   * Elements of a block: what one vector of BF16 pairs holds. A block of x is packed as a vector of
   * its even and a vector of its odd elements.
   */
  public static final int BLOCK = 2 * L;

  /** Bytes of a block of float32. */
  public static final long BLOCK_BYTES = 2 * BYTES;

  /** The even elements of a block in natural order, of its two vectors. */
  public static final VectorShuffle<Float> EVEN = VectorShuffle.makeUnzip(F, 0);

  /** The odd elements of a block in natural order. */
  public static final VectorShuffle<Float> ODD = VectorShuffle.makeUnzip(F, 1);

  /** The first vector of a block in natural order, of its even and its odd elements. */
  public static final VectorShuffle<Float> JOIN_LOW = VectorShuffle.makeZip(F, 0);

  /** The second vector of a block in natural order. */
  public static final VectorShuffle<Float> JOIN_HIGH = VectorShuffle.makeZip(F, 1);

  static final VectorShuffle<Float> XOR1 = swap(1);
  static final VectorShuffle<Float> XOR2 = swap(2);
  static final VectorShuffle<Float> XOR4 = swap(4);
  static final VectorShuffle<Float> XOR8 = swap(8);
  private static final VectorShuffle<Float> SWAP_HALVES = swap(L / 2);
  private static final VectorShuffle<Float> SWAP_QUARTERS = swap(L / 4);
  private static final VectorShuffle<Float> SWAP_EIGHTHS = swap(L / 8);
  private static final VectorShuffle<Float> SWAP_SIXTEENTHS = swap(L / 16);
  private static final VectorMask<Float> BIT1 = laneBit(1);
  private static final VectorMask<Float> BIT2 = laneBit(2);
  private static final VectorMask<Float> BIT4 = laneBit(4);
  private static final VectorMask<Float> BIT8 = laneBit(8);
  private static final VectorMask<Float> SECOND_HALF = laneBit(L / 2);
  private static final VectorMask<Float> SECOND_QUARTERS = laneBit(L / 4);

  private Lanes() {}

  private static VectorShuffle<Float> swap(int bit) {
    return VectorShuffle.fromOp(F, i -> (i ^ bit) & L - 1);
  }

  private static VectorMask<Float> laneBit(int bit) {
    VectorMask<Float> mask = F.maskAll(false);
    long bits = 0;
    for (int i = 0; i < L; i++) {
      bits |= (i & bit) != 0 ? 1L << i : 0;
    }
    return mask.or(VectorMask.fromLong(F, bits));
  }

  /** Returns how many blocks cover so many elements. */
  public static int blocks(int elements) {
    return (elements + BLOCK - 1) / BLOCK;
  }

  /** Zeroes blocks of float32. */
  public static void zeroBlocks(long address, int blocks) {
    FloatVector zero = FloatVector.zero(F);
    for (int b = 0; b < blocks; b++) {
      long block = address + b * BLOCK_BYTES;
      zero.intoMemorySegment(ALL, block & ADDRESS, LE);
      zero.intoMemorySegment(ALL, (block + BYTES) & ADDRESS, LE);
    }
  }

  /**
   * Sums the lanes of four stored vectors. The sums replace the first of them: that of vector k is
   * in lane k L / 4.
   */
  public static void sumFour(long address) {
    FloatVector a = FloatVector.fromMemorySegment(F, ALL, address & ADDRESS, LE);
    FloatVector b = FloatVector.fromMemorySegment(F, ALL, (address + BYTES) & ADDRESS, LE);
    FloatVector c = FloatVector.fromMemorySegment(F, ALL, (address + 2L * BYTES) & ADDRESS, LE);
    FloatVector d = FloatVector.fromMemorySegment(F, ALL, (address + 3L * BYTES) & ADDRESS, LE);
    FloatVector ac = a.blend(c, SECOND_HALF).add(c.blend(a, SECOND_HALF).rearrange(SWAP_HALVES));
    FloatVector bd = b.blend(d, SECOND_HALF).add(d.blend(b, SECOND_HALF).rearrange(SWAP_HALVES));
    FloatVector sum =
        ac.blend(bd, SECOND_QUARTERS).add(bd.blend(ac, SECOND_QUARTERS).rearrange(SWAP_QUARTERS));
    if (L >= 8) {
      sum = sum.add(sum.rearrange(SWAP_EIGHTHS));
    }
    if (L >= 16) {
      sum = sum.add(sum.rearrange(SWAP_SIXTEENTHS));
    }
    sum.intoMemorySegment(ALL, address & ADDRESS, LE);
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
