package dev.lorikeet.conformance.tensor;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.lorikeet.tensor.Device;
import dev.lorikeet.tensor.ElementType;
import dev.lorikeet.tensor.Tensor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * A matrix whose surroundings are watched: before it, between its rows and after it lie NaN, which
 * spoil any sum that reads them, and whose bits must stay.
 */
public final class GuardedMatrix {
  private static final int GUARD = 16;

  private final MemorySegment memory;
  private final Tensor tensor;
  private MemorySegment snapshot = MemorySegment.NULL;

  /**
   * Creates a matrix of NaN.
   *
   * @param gap how many elements lie between the end of a row and the next row
   * @param shift by how many elements the matrix begins off an aligned address
   */
  public GuardedMatrix(ElementType type, int rows, int columns, int gap, int shift) {
    long stride = (long) columns + gap;
    long elements = rows * stride;
    memory = Arena.ofAuto().allocate((elements + shift + 2L * GUARD) * type.bytes(), 64);
    for (long i = 0; i < elements + shift + 2L * GUARD; i++) {
      ElementCodec.set(memory, type, i, Float.NaN);
    }
    long start = (long) (GUARD + shift) * type.bytes();
    tensor =
        new Tensor(
            memory.asSlice(start, memory.byteSize() - start),
            type,
            rows,
            columns,
            stride,
            Device.HOST);
  }

  public Tensor tensor() {
    return tensor;
  }

  /** Returns the rows and all that lies around them. */
  public MemorySegment memory() {
    return memory;
  }

  public int rows() {
    return (int) tensor.rows();
  }

  public int columns() {
    return (int) tensor.columns();
  }

  public float get(int row, int column) {
    return ElementCodec.get(tensor.segment(), tensor.type(), index(row, column));
  }

  public GuardedMatrix set(int row, int column, float value) {
    ElementCodec.set(tensor.segment(), tensor.type(), index(row, column), value);
    return this;
  }

  private long index(int row, int column) {
    return row * tensor.rowStride() + column;
  }

  /** Remembers all bits, the surroundings' too. */
  public GuardedMatrix remember() {
    snapshot = Arena.ofAuto().allocate(memory.byteSize()).copyFrom(memory);
    return this;
  }

  /** Brings back the bits that were remembered. */
  public void restore() {
    memory.copyFrom(snapshot);
  }

  /** Returns an element as it was when it was remembered. */
  public float remembered(int row, int column) {
    long skipped = tensor.segment().address() - memory.address();
    return ElementCodec.get(
        snapshot, tensor.type(), skipped / tensor.type().bytes() + index(row, column));
  }

  /** Checks that no bit changed since it was remembered. */
  public void expectUnchanged(String what) {
    assertEquals(-1, memory.mismatch(snapshot), () -> what + ": first byte that changed");
  }

  /** Checks that a row has the bits that were remembered. */
  public void expectRowUnchanged(int row, String what) {
    long skipped = tensor.segment().address() - memory.address();
    long from = skipped + row * tensor.rowStrideBytes();
    long to = from + tensor.columns() * tensor.type().bytes();
    assertEquals(
        -1,
        MemorySegment.mismatch(memory, from, to, snapshot, from, to),
        () -> what + ", row " + row + ": first byte that changed");
  }

  /** Checks that nothing outside the rows changed since it was remembered. */
  public void expectSurroundingsUnchanged(String what) {
    long skipped = tensor.segment().address() - memory.address();
    long rowBytes = tensor.columns() * tensor.type().bytes();
    long gapStart = 0;
    for (int row = 0; row <= tensor.rows(); row++) {
      long gapEnd =
          row < tensor.rows() ? skipped + row * tensor.rowStrideBytes() : memory.byteSize();
      assertEquals(
          -1,
          MemorySegment.mismatch(memory, gapStart, gapEnd, snapshot, gapStart, gapEnd),
          () -> what + ": a write outside its rows");
      gapStart = gapEnd + rowBytes;
    }
  }

  /** Returns the bytes of the rows, one after the other. */
  public byte[] rowBytes() {
    int rowBytes = columns() * tensor.type().bytes();
    byte[] bytes = new byte[rows() * rowBytes];
    for (int row = 0; row < rows(); row++) {
      MemorySegment.copy(
          tensor.segment(),
          ValueLayout.JAVA_BYTE,
          row * tensor.rowStrideBytes(),
          bytes,
          row * rowBytes,
          rowBytes);
    }
    return bytes;
  }
}
