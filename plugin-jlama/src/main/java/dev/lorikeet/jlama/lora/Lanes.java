package dev.lorikeet.jlama.lora;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorShuffle;
import jdk.incubator.vector.VectorSpecies;

/**
 * Vectors of the preferred width (128 to 512 bits) and the moves between memory and lanes that the
 * kernels share.
 */
final class Lanes {
  /*
   * A block is two vectors of F32: 2 L elements. 16-bit elements are loaded as L ints, of which a shift makes the even elements and a mask the odd ones: two
   * operations per block, where widening shorts lane by lane takes four and the one shuffle port. So every F32 companion of 16-bit weights (packed inputs, sums
   * under way) is kept in the order evens, odds, block by block, and brought back to natural order once at the end. F32 weights use natural order.
   *
   * Loads go through one constant segment over all of memory: with an offset that is visibly not negative its checks fold away, so that a loop body is bare
   * instructions. Nothing is checked here; executors check tensors and factors once per call.
   *
   * Loops call the Vector API directly, not through small methods of ours: in a large compilation the compiler stops inlining such methods, and a vector that is
   * passed or returned becomes an object.
   *
   * Sums over lanes are trees of fixed shape, never reduceLanes, whose order is not specified and differs between interpreter and compiler.
   */
  private static final VectorSpecies<Float> PREFERRED = FloatVector.SPECIES_PREFERRED;

  static final VectorSpecies<Float> F =
      PREFERRED.length() > 16 ? FloatVector.SPECIES_512 : PREFERRED;
  static final VectorSpecies<Integer> I =
      PREFERRED.length() > 16 ? IntVector.SPECIES_512 : IntVector.SPECIES_PREFERRED;

  /** Lanes of a vector. */
  static final int L = F.length();

  /** Elements of a block: two vectors. */
  static final int BLOCK = 2 * L;

  /** Bytes of one vector. */
  static final int BYTES = 4 * L;

  /** All of memory: offsets are addresses. */
  static final MemorySegment ALL = everything();

  /** The bits of an address; an offset masked with them is visibly not negative. */
  static final long ADDRESS = (1L << 56) - 1;

  static final ByteOrder LITTLE = ByteOrder.LITTLE_ENDIAN;
  static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(LITTLE);

  private static final VectorShuffle<Float> SWAP_HALVES = xor(L / 2);
  private static final VectorShuffle<Float> SWAP_QUARTERS = xor(L / 4);
  private static final VectorShuffle<Float> SWAP_EIGHTHS = xor(L / 8);
  private static final VectorShuffle<Float> SWAP_SIXTEENTHS = xor(L / 16);
  static final VectorMask<Float> SECOND_HALF = lanesWith(L / 2);
  private static final VectorMask<Float> SECOND_QUARTERS = lanesWith(L / 4);
  static final VectorMask<Float> ODD = lanesWith(1);
  static final VectorShuffle<Float> TWICE_FIRST = VectorShuffle.fromOp(F, i -> i / 2);
  static final VectorShuffle<Float> TWICE_SECOND = VectorShuffle.fromOp(F, i -> L / 2 + i / 2);
  static final VectorShuffle<Float> EVENS = VectorShuffle.fromOp(F, i -> 2 * i % L);
  static final VectorShuffle<Float> ODDS = VectorShuffle.fromOp(F, i -> (2 * i + 1) % L);

  private Lanes() {}

  @SuppressWarnings("restricted") // the kernels read and write memory that their caller checked
  private static MemorySegment everything() {
    return MemorySegment.NULL.reinterpret(Long.MAX_VALUE);
  }

  private static VectorShuffle<Float> xor(int bit) {
    return VectorShuffle.fromOp(F, i -> i ^ bit);
  }

  private static VectorMask<Float> lanesWith(int bit) {
    long bits = 0;
    for (int i = 0; i < L; i++) {
      bits |= (i & bit) != 0 ? 1L << i : 0;
    }
    return VectorMask.fromLong(F, bits);
  }

  /** Returns how many blocks cover {@code elements}. */
  static int blocks(int elements) {
    return (elements + BLOCK - 1) / BLOCK;
  }

  static float get(long address) {
    return ALL.get(FLOAT, address & ADDRESS);
  }

  static void set(long address, float value) {
    ALL.set(FLOAT, address & ADDRESS, value);
  }

  static void copy(long from, long to, long bytes) {
    MemorySegment.copy(ALL, from, ALL, to, bytes);
  }

  /** Zeroes blocks of F32. */
  static void zeroBlocks(long address, int blocks) {
    FloatVector zero = FloatVector.zero(F);
    for (int b = 0; b < blocks; b++) {
      long block = address + b * 2L * BYTES;
      zero.intoMemorySegment(ALL, block & ADDRESS, LITTLE);
      zero.intoMemorySegment(ALL, (block + BYTES) & ADDRESS, LITTLE);
    }
  }

  /**
   * Sums the lanes of four stored vectors. The sums replace the first of them: that of vector k is
   * in lane k L / 4.
   */
  static void sumLanes(long address) {
    FloatVector a = FloatVector.fromMemorySegment(F, ALL, address & ADDRESS, LITTLE);
    FloatVector b = FloatVector.fromMemorySegment(F, ALL, (address + BYTES) & ADDRESS, LITTLE);
    FloatVector c = FloatVector.fromMemorySegment(F, ALL, (address + 2L * BYTES) & ADDRESS, LITTLE);
    FloatVector d = FloatVector.fromMemorySegment(F, ALL, (address + 3L * BYTES) & ADDRESS, LITTLE);
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
    sum.intoMemorySegment(ALL, address & ADDRESS, LITTLE);
  }
}
