package dev.lorikeet.adapter;

import dev.lorikeet.tensor.Device;
import dev.lorikeet.tensor.ElementType;
import java.lang.foreign.MemorySegment;
import java.util.Objects;

/**
 * One low-rank factor of an adapter for one target module, stored as {@code rank} rows that may lie
 * anywhere in one region of memory (the pages of a pool). For the factor A a row spans the input
 * features; the factor B is stored transposed, so that its rows span the output features. Both then
 * read the same way: shrink is a dot product with each row of A, expand adds a multiple of each row
 * of B.
 *
 * <p>A block-diagonal factor (block-diagonal LoRA; PEFT's {@code use_bdlora}) of {@code blocks = n}
 * keeps only the diagonal blocks: with {@code width} features and {@code rank} rows, row {@code r}
 * belongs to block {@code b = r / (rank / n)} and holds the {@code width / n} elements of the
 * features {@code [b * width / n, (b + 1) * width / n)}; all others are zero. A dense factor has
 * one block.
 *
 * <p>A view: the lease that it came from owns the memory, and it is valid until that lease is
 * closed. Immutable and safe for concurrent reading.
 */
public final class LoraFactor {
  private final ElementType type;
  private final int width;
  private final int blocks;
  private final Device device;
  private final MemorySegment memory;
  private final long[] rowOffsets;

  /**
   * Creates a view.
   *
   * @param type the element type
   * @param width the number of features a dense row would span
   * @param blocks the number of diagonal blocks; divides both {@code width} and the rank; 1 for a
   *     dense factor
   * @param device where the memory lives
   * @param memory the region that holds all rows
   * @param rowOffsets the byte offset of each row in {@code memory}, one per rank; a multiple of
   *     the element size
   */
  public LoraFactor(
      ElementType type,
      int width,
      int blocks,
      Device device,
      MemorySegment memory,
      long[] rowOffsets) {
    this.type = Objects.requireNonNull(type, "type");
    this.device = Objects.requireNonNull(device, "device");
    this.memory = Objects.requireNonNull(memory, "memory");
    this.rowOffsets = rowOffsets.clone();
    this.width = width;
    this.blocks = blocks;
    int rank = rowOffsets.length;
    if (rank < 1 || width < 1 || blocks < 1 || width % blocks != 0 || rank % blocks != 0) {
      throw new IllegalArgumentException(
          "factor: expected rank and width of at least 1 and a number of blocks that divides both, found rank "
              + rank
              + ", width "
              + width
              + ", blocks "
              + blocks);
    }
    long rowBytes = (long) (width / blocks) * type.bytes();
    for (int r = 0; r < rank; r++) {
      long offset = this.rowOffsets[r];
      if (offset % type.bytes() != 0) {
        throw new IllegalArgumentException(
            "factor: expected row offsets that are multiples of "
                + type.bytes()
                + ", found "
                + offset
                + " for row "
                + r);
      }
      Objects.checkFromIndexSize(offset, rowBytes, memory.byteSize());
    }
  }

  /**
   * Returns a view of rows that lie one behind the other from the beginning of host memory.
   *
   * @param rank the number of rows
   * @throws IllegalArgumentException as the constructor does
   */
  public static LoraFactor contiguous(
      ElementType type, int rank, int width, int blocks, MemorySegment memory) {
    long[] rows = new long[rank];
    for (int row = 0; row < rank; row++) {
      rows[row] = (long) row * (width / Math.max(1, blocks)) * type.bytes();
    }
    return new LoraFactor(type, width, blocks, Device.HOST, memory, rows);
  }

  /** Returns the element type. */
  public ElementType type() {
    return type;
  }

  /** Returns the number of rows. */
  public int rank() {
    return rowOffsets.length;
  }

  /**
   * Returns the number of features that a dense row spans: input features for A, output features
   * for B.
   */
  public int width() {
    return width;
  }

  /** Returns the number of diagonal blocks, 1 for a dense factor. */
  public int blocks() {
    return blocks;
  }

  /** Returns where the memory lives. */
  public Device device() {
    return device;
  }

  /** Returns the region that holds all rows. */
  public MemorySegment memory() {
    return memory;
  }

  /** Returns the byte offset of row {@code rank} in {@link #memory()}. */
  public long rowOffset(int rank) {
    return rowOffsets[rank];
  }

  /** Returns the number of elements stored per row: {@code width / blocks}. */
  public int rowLength() {
    return width / blocks;
  }

  /** Returns the first feature that row {@code rank} covers: 0 for a dense factor. */
  public int rowStart(int rank) {
    return rank / (rowOffsets.length / blocks) * (width / blocks);
  }

  @Override
  public String toString() {
    return type
        + "["
        + rank()
        + ", "
        + width
        + "]"
        + (blocks == 1 ? "" : " in " + blocks + " blocks");
  }
}
