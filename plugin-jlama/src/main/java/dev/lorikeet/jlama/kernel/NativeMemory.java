package dev.lorikeet.jlama.kernel;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;

/**
 * How kernels reach memory: an address inside one constant segment that spans the address space.
 *
 * <p>The loads of an inner loop must compile to bare instructions. With ordinary segments C2
 * rewrites a loop of long offsets into a nest with a check of every operand, which costs more than
 * a row of 576 weights; and the type of the segments seen so far (mapped, allocated, heap) leaks
 * into every kernel. Against a constant segment of length 2^63 - 1 a check folds away once the type
 * of the offset shows that it is not negative, hence {@code & ADDRESS}. So nothing is checked here
 * or inside a kernel: {@link Rows} lie in their segment, every public entry checks once per call
 * that its operands fit one another, and callers keep the memory alive while the call runs.
 */
public final class NativeMemory {
  /** All of memory; offsets are addresses. */
  public static final MemorySegment ALL = MemorySegment.NULL.reinterpret(Long.MAX_VALUE);

  /** The bits of a user-space address on all 64-bit platforms of the JDK. */
  public static final long ADDRESS = (1L << 56) - 1;

  /** A float32 at any alignment. */
  public static final ValueLayout.OfFloat FLOAT =
      ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  private NativeMemory() {}

  /** Returns the float32 at an address. */
  public static float get(long address) {
    return ALL.get(FLOAT, address & ADDRESS);
  }

  /** Writes a float32 at an address. */
  public static void set(long address, float value) {
    ALL.set(FLOAT, address & ADDRESS, value);
  }

  /** Copies bytes from one address to another. */
  public static void copy(long from, long to, long bytes) {
    MemorySegment.copy(ALL, from, ALL, to, bytes);
  }

  /**
   * Returns the address of a native segment after checking that {@code rows} rows of {@code
   * rowBytes} bytes at distance {@code stride} lie in it.
   *
   * @throws IllegalArgumentException if the segment is on the heap or too small
   */
  static long address(String what, MemorySegment segment, long rows, long rowBytes, long stride) {
    if (!segment.isNative()) {
      throw new IllegalArgumentException(
          what + ": expected a native segment, found a heap segment");
    }
    if (rows < 0 || rowBytes < 0 || (rows > 1 && stride < 0)) {
      throw new IllegalArgumentException(
          what
              + ": expected sizes >= 0, found "
              + rows
              + " rows of "
              + rowBytes
              + " bytes at stride "
              + stride);
    }
    long needed = rows == 0 ? 0 : Math.addExact(Math.multiplyExact(rows - 1, stride), rowBytes);
    if (needed > segment.byteSize()) {
      throw new IllegalArgumentException(
          what
              + ": "
              + rows
              + " rows of "
              + rowBytes
              + " bytes at stride "
              + stride
              + " need "
              + needed
              + " bytes, found "
              + segment.byteSize());
    }
    return segment.address();
  }
}
