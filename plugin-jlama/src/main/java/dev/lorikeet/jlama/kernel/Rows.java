package dev.lorikeet.jlama.kernel;

import dev.lorikeet.tensor.Device;
import dev.lorikeet.tensor.ElementType;
import dev.lorikeet.tensor.Tensor;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SegmentAllocator;
import java.lang.foreign.ValueLayout;

/**
 * Rows of float32 in native memory, such as one row of activations for each token: what kernels
 * read and write. A view; whoever allocated the memory keeps it alive while a kernel may use it.
 * Made once for a buffer, not for a call.
 *
 * @param segment native memory, aligned to 4 bytes, in which all rows lie
 * @param stride bytes from one row to the next, a multiple of 4
 * @param rows how many rows
 * @param columns elements of a row
 */
public record Rows(MemorySegment segment, long stride, int rows, int columns) {
  private static final int LINE = 64;

  /**
   * Checks that the rows lie in the segment.
   *
   * @throws IllegalArgumentException if they do not, or if the segment is on the heap
   */
  public Rows {
    long rowBytes = (long) columns * Float.BYTES;
    if (stride < rowBytes || stride % Float.BYTES != 0) {
      throw new IllegalArgumentException(
          "rows: expected a stride that is a multiple of 4 and at least "
              + rowBytes
              + " bytes, found "
              + stride);
    }
    NativeMemory.address("rows", segment, rows, rowBytes, stride);
  }

  /** Allocates rows of zeros, each of which begins on a cache line. */
  public static Rows allocate(SegmentAllocator memory, int rows, int columns) {
    long stride = stride(columns);
    return new Rows(memory.allocate(rows * stride, LINE), stride, rows, columns);
  }

  /** Returns the bytes that {@link #allocate} takes. */
  public static long bytes(int rows, int columns) {
    return rows * stride(columns);
  }

  private static long stride(int columns) {
    return ((long) columns * Float.BYTES + LINE - 1) / LINE * LINE;
  }

  /** Returns the first rows. */
  public Rows first(int count) {
    return new Rows(segment, stride, count, columns);
  }

  /** Returns some rows. */
  public Rows part(int first, int count) {
    long from = first * stride;
    long bytes = count == 0 ? 0 : (count - 1) * stride + (long) columns * Float.BYTES;
    return new Rows(segment.asSlice(from, bytes), stride, count, columns);
  }

  /** Returns dense rows: one follows the other without a gap. */
  public static Rows dense(MemorySegment segment, int rows, int columns) {
    return new Rows(segment, (long) columns * Float.BYTES, rows, columns);
  }

  /** Returns the memory of a row; a new view at every call. */
  public MemorySegment row(int row) {
    return segment.asSlice(row * stride, (long) columns * Float.BYTES);
  }

  /** Returns the rows as a tensor, {@code [rows, columns]}; a new one at every call. */
  public Tensor tensor() {
    return new Tensor(segment, ElementType.F32, rows, columns, stride / Float.BYTES, Device.HOST);
  }

  /** Returns an element. */
  public float get(int row, int column) {
    return segment.get(ValueLayout.JAVA_FLOAT, row * stride + column * 4L);
  }

  /** Writes an element. */
  public void set(int row, int column, float value) {
    segment.set(ValueLayout.JAVA_FLOAT, row * stride + column * 4L, value);
  }

  /** Copies a row into a row of as many columns. */
  public void copyRow(int row, Rows to, int toRow) {
    MemorySegment.copy(
        segment, row * stride, to.segment, toRow * to.stride, (long) columns * Float.BYTES);
  }

  /**
   * Checks an operand of a kernel.
   *
   * @param what the name of the operand
   * @param count how many rows the kernel uses, from the first
   * @param width how many columns they must have
   */
  void check(String what, int count, int width) {
    if (count < 0 || count > rows || width != columns) {
      throw new IllegalArgumentException(
          what
              + ": expected "
              + count
              + " rows of "
              + width
              + " columns, found "
              + rows
              + " of "
              + columns);
    }
  }

  /** Checks an operand of a kernel and returns the address of its first row. */
  long address(String what, int count, int width) {
    check(what, count, width);
    return segment.address();
  }
}
