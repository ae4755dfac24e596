package dev.lorikeet.adapter;

import dev.lorikeet.tensor.Device;
import java.lang.foreign.MemorySegment;
import java.util.Objects;

/**
 * The values of a part of an adapter, stored as rows that may lie anywhere in one region of memory.
 *
 * <p>A view: the lease that it came from owns the memory, and it is valid until that lease is
 * closed. Immutable and safe for concurrent reading.
 */
public final class PartWeights {
  private final PartSpec spec;
  private final Device device;
  private final MemorySegment memory;
  private final long[] rowOffsets;

  /**
   * Creates a view.
   *
   * @param spec what it is
   * @param device where the memory lives
   * @param memory the region that holds all rows
   * @param rowOffsets the byte offset of each row in {@code memory}; a multiple of the element size
   */
  public PartWeights(PartSpec spec, Device device, MemorySegment memory, long[] rowOffsets) {
    this.spec = Objects.requireNonNull(spec, "spec");
    this.device = Objects.requireNonNull(device, "device");
    this.memory = Objects.requireNonNull(memory, "memory");
    this.rowOffsets = rowOffsets.clone();
    if (rowOffsets.length != spec.rows()) {
      throw new IllegalArgumentException(
          "part: expected an offset for each of "
              + spec.rows()
              + " rows, found "
              + rowOffsets.length);
    }
    for (long offset : this.rowOffsets) {
      if (offset % spec.type().bytes() != 0) {
        throw new IllegalArgumentException(
            "part: expected offsets that are multiples of "
                + spec.type().bytes()
                + ", found "
                + offset);
      }
      Objects.checkFromIndexSize(offset, spec.rowBytes(), memory.byteSize());
    }
  }

  /** Returns what it is. */
  public PartSpec spec() {
    return spec;
  }

  /** Returns where the memory lives. */
  public Device device() {
    return device;
  }

  /** Returns the region that holds all rows. */
  public MemorySegment memory() {
    return memory;
  }

  /** Returns the byte offset of a row in {@link #memory()}. */
  public long rowOffset(int row) {
    return rowOffsets[row];
  }

  /** Returns an element of a part in host memory as a float32. */
  public float get(int row, int column) {
    return spec.type().read(memory, rowOffsets[row] + (long) column * spec.type().bytes());
  }

  @Override
  public String toString() {
    return spec.kind() + " of " + spec.target() + " [" + spec.rows() + ", " + spec.columns() + "]";
  }
}
