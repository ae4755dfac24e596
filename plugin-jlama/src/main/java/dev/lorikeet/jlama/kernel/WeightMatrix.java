package dev.lorikeet.jlama.kernel;

import dev.lorikeet.tensor.ElementType;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * The weights of a linear layer, {@code [rows, columns]} = [out, in], row-major and dense as in the
 * file, little-endian. A view: whoever mapped or allocated the memory keeps it alive for as long as
 * a kernel may use it. Immutable; any number of threads may use it.
 */
public sealed interface WeightMatrix {
  /** Elements that share one scale in a {@link Q4} matrix. */
  int Q4_BLOCK = 32;

  /** Returns the number of output features. */
  int rows();

  /** Returns the number of input features. */
  int columns();

  /** Returns the number of weights. */
  default long elements() {
    return (long) rows() * columns();
  }

  /** Returns a view of some rows. */
  WeightMatrix slice(int firstRow, int rows);

  /** Returns the bytes that one pass over all weights reads. */
  long bytes();

  /** Returns the element {@code (row, column)} as a float32, for tests and scalar code. */
  float get(int row, int column);

  /**
   * Weights of a floating-point type.
   *
   * @param segment native memory of at least {@code rows * columns} elements; any alignment
   * @param type the element type
   * @param rows output features, at least 1
   * @param columns input features, at least 1
   */
  record Floats(MemorySegment segment, ElementType type, int rows, int columns)
      implements WeightMatrix {
    public Floats {
      checkShape(rows, columns);
      NativeMemory.address(
          "weights", segment, rows, (long) columns * type.bytes(), (long) columns * type.bytes());
    }

    @Override
    public long bytes() {
      return elements() * type.bytes();
    }

    @Override
    public WeightMatrix slice(int firstRow, int count) {
      long rowBytes = (long) columns * type.bytes();
      MemorySegment part = segment.asSlice(firstRow * rowBytes, count * rowBytes);
      return new Floats(part, type, count, columns);
    }

    @Override
    public float get(int row, int column) {
      return type.read(segment, ((long) row * columns + column) * type.bytes());
    }
  }

  /**
   * Jlama's Q4 (0.8.4): blocks of 32 consecutive elements of a row share a float32 scale. A block
   * is 16 bytes; the low half of byte j is element j, the high half element j + 16. The value is
   * {@code (nibble - 8) * scale}.
   *
   * @param nibbles native memory of {@code rows * columns / 2} bytes
   * @param scales native memory of {@code [rows, columns / 32]} float32
   * @param rows output features, at least 1
   * @param columns input features, a multiple of 32
   */
  record Q4(MemorySegment nibbles, MemorySegment scales, int rows, int columns)
      implements WeightMatrix {
    public Q4 {
      checkShape(rows, columns);
      if (columns % Q4_BLOCK != 0) {
        throw new IllegalArgumentException(
            "Q4 weights: expected columns to be a multiple of 32, found " + columns);
      }
      NativeMemory.address("Q4 weights", nibbles, rows, columns / 2, columns / 2);
      long scaleBytes = columns / Q4_BLOCK * 4L;
      NativeMemory.address("Q4 scales", scales, rows, scaleBytes, scaleBytes);
    }

    @Override
    public long bytes() {
      return elements() / 2 + elements() / Q4_BLOCK * 4;
    }

    @Override
    public WeightMatrix slice(int firstRow, int count) {
      long rowBytes = columns / 2;
      long scaleBytes = columns / Q4_BLOCK * 4L;
      return new Q4(
          nibbles.asSlice(firstRow * rowBytes, count * rowBytes),
          scales.asSlice(firstRow * scaleBytes, count * scaleBytes),
          count,
          columns);
    }

    @Override
    public float get(int row, int column) {
      long block = (long) row * (columns / Q4_BLOCK) + column / Q4_BLOCK;
      int within = column % Q4_BLOCK;
      int packed =
          nibbles.get(ValueLayout.JAVA_BYTE, block * (Q4_BLOCK / 2) + within % (Q4_BLOCK / 2));
      int nibble = within < Q4_BLOCK / 2 ? packed & 15 : packed >> 4 & 15;
      return (nibble - 8) * ElementType.F32.read(scales, block * 4);
    }
  }

  /**
   * Weights in the blocks of GGUF files, used as they lie there.
   *
   * @param segment native memory of {@code rows} rows of whole blocks; any alignment
   * @param type how a block is made
   * @param rows output features, at least 1
   * @param columns input features, a multiple of a block's elements
   */
  record Blocks(MemorySegment segment, BlockType type, int rows, int columns)
      implements WeightMatrix {
    public Blocks {
      checkShape(rows, columns);
      if (columns % type.elements() != 0) {
        throw new IllegalArgumentException(
            type
                + " weights: expected columns to be a multiple of "
                + type.elements()
                + ", found "
                + columns);
      }
      long rowBytes = rowBytes(type, columns);
      NativeMemory.address(type + " weights", segment, rows, rowBytes, rowBytes);
    }

    private static long rowBytes(BlockType type, int columns) {
      return (long) (columns / type.elements()) * type.bytes();
    }

    /** Returns the bytes of a row. */
    long rowBytes() {
      return rowBytes(type, columns);
    }

    @Override
    public long bytes() {
      return rows * rowBytes();
    }

    @Override
    public WeightMatrix slice(int firstRow, int count) {
      MemorySegment part = segment.asSlice(firstRow * rowBytes(), count * rowBytes());
      return new Blocks(part, type, count, columns);
    }

    @Override
    public float get(int row, int column) {
      long block = row * rowBytes() + (long) (column / type.elements()) * type.bytes();
      return type.get(segment, block, column % type.elements());
    }
  }

  /** Returns dense weights of a floating-point type; see {@link Floats}. */
  static WeightMatrix of(MemorySegment segment, ElementType type, int rows, int columns) {
    return new Floats(segment, type, rows, columns);
  }

  private static void checkShape(int rows, int columns) {
    if (rows < 1 || columns < 1) {
      throw new IllegalArgumentException(
          "weights: expected at least one row and column, found [" + rows + ", " + columns + "]");
    }
  }
}
