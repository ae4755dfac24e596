package dev.lorikeet.tensor;

import java.lang.foreign.MemorySegment;
import java.util.Objects;

/**
 * A matrix in memory that belongs to someone else: {@code [rows, columns]}, element {@code (i, j)}
 * at byte {@code (i * rowStride + j) * type.bytes()} of {@code segment}. A view only: whoever
 * allocated the segment frees it, and must keep it alive while a call that was given the tensor
 * runs. Instances are immutable; the memory is not, and this class does nothing to synchronize
 * access to it.
 *
 * @param segment the memory; on a device its address is a device address that only executors of
 *     that device may use
 * @param type the element type
 * @param rows the number of rows, at least 0; for activations one row per token
 * @param columns the number of columns, at least 1
 * @param rowStride the distance between rows in elements, at least {@code columns}
 * @param device where the memory lives
 */
public record Tensor(
    MemorySegment segment,
    ElementType type,
    long rows,
    long columns,
    long rowStride,
    Device device) {

  public Tensor {
    Objects.requireNonNull(segment, "segment");
    Objects.requireNonNull(type, "type");
    Objects.requireNonNull(device, "device");
    if (rows < 0 || columns < 1 || rowStride < columns) {
      throw new IllegalArgumentException(
          "tensor: expected rows >= 0, columns >= 1 and rowStride >= columns, found ["
              + rows
              + ", "
              + columns
              + "] with row stride "
              + rowStride);
    }
    long elements =
        rows == 0
            ? 0
            : Math.addExact(Math.multiplyExact(Math.subtractExact(rows, 1), rowStride), columns);
    long bytes = Math.multiplyExact(elements, type.bytes());
    if (bytes > segment.byteSize()) {
      throw new IllegalArgumentException(
          "tensor: ["
              + rows
              + ", "
              + columns
              + "] with row stride "
              + rowStride
              + " of "
              + type
              + " needs "
              + bytes
              + " bytes, the segment has "
              + segment.byteSize());
    }
  }

  /** Returns a dense host tensor: row stride equal to {@code columns}. */
  public static Tensor host(MemorySegment segment, ElementType type, long rows, long columns) {
    return new Tensor(segment, type, rows, columns, columns, Device.HOST);
  }

  /** Returns the distance between rows in bytes. */
  public long rowStrideBytes() {
    return rowStride * type.bytes();
  }

  @Override
  public String toString() {
    return type + "[" + rows + ", " + columns + "]@" + device;
  }
}
