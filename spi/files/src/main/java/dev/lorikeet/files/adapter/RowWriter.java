package dev.lorikeet.files.adapter;

import dev.lorikeet.adapter.PartSpec;
import dev.lorikeet.adapter.TargetSpec;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** Writes the weights of one adapter into rows of memory, B transposed. */
public final class RowWriter implements WeightSink {
  /*
   * Idea: B comes as [out, rank] and is kept as [rank, out]. A tile of TILE outputs is copied to an array, transposed
   * there line by line, and each line copied to its row, so that strided access stays within the first-level cache.
   */
  private static final int TILE = 256;

  private final MemorySegment memory;
  private final WeightPlaces places;
  private final long[][] offsets;
  private short[] shorts = {};
  private int[] ints = {};
  private final short[] shortLine = new short[TILE];
  private final int[] intLine = new int[TILE];

  /**
   * Creates a writer.
   *
   * @param places where the rows go in {@code memory}
   */
  public RowWriter(WeightPlaces places, MemorySegment memory) {
    this.places = places;
    this.offsets = places.factors();
    this.memory = memory;
  }

  @Override
  public void accept(
      int target, TargetSpec spec, Factor factor, int firstLine, int lines, MemorySegment data) {
    switch (factor) {
      case A, B_BY_ROW -> {
        long[] rows = offsets[factor == Factor.A ? 2 * target : 2 * target + 1];
        long bytes = data.byteSize() / lines;
        for (int line = 0; line < lines; line++) {
          MemorySegment.copy(data, line * bytes, memory, rows[firstLine + line], bytes);
        }
      }
      case A_BY_INPUT ->
          transpose(spec, spec.inFeatures(), 1, offsets[2 * target], firstLine, lines, data);
      case B_BY_OUTPUT ->
          transpose(
              spec,
              spec.outFeatures(),
              spec.bBlocks(),
              offsets[2 * target + 1],
              firstLine,
              lines,
              data);
      case MAGNITUDE ->
          MemorySegment.copy(data, 0, memory, places.magnitudes()[target], data.byteSize());
    }
  }

  /** Writes lines of a feature each, of so many diagonal blocks, to rows. */
  private void transpose(
      TargetSpec spec,
      int features,
      int blocks,
      long[] rows,
      int firstLine,
      int lines,
      MemorySegment data) {
    int block = features / blocks;
    int columns = spec.rank() / blocks;
    int done = 0;
    while (done < lines) {
      int feature = firstLine + done;
      int inBlock = feature % block;
      int count = Math.min(Math.min(TILE, lines - done), block - inBlock);
      int firstRow = feature / block * columns;
      long from = (long) done * columns * spec.type().bytes();
      if (spec.type().bytes() == Short.BYTES) {
        transposeShorts(data, from, count, columns, rows, firstRow, inBlock);
      } else {
        transposeInts(data, from, count, columns, rows, firstRow, inBlock);
      }
      done += count;
    }
  }

  @Override
  public void acceptPart(int part, PartSpec spec, int firstRow, int rows, MemorySegment data) {
    long[] to = places.parts()[part];
    for (int row = 0; row < rows && to.length > 0; row++) {
      long bytes = spec.rowBytes();
      MemorySegment.copy(data, row * bytes, memory, to[firstRow + row], bytes);
    }
  }

  private void transposeShorts(
      MemorySegment data, long from, int count, int columns, long[] rows, int firstRow, int first) {
    int elements = count * columns;
    if (shorts.length < elements) {
      shorts = new short[elements];
    }
    MemorySegment.copy(data, ValueLayout.JAVA_SHORT_UNALIGNED, from, shorts, 0, elements);
    for (int column = 0; column < columns; column++) {
      for (int line = 0, at = column; line < count; line++, at += columns) {
        shortLine[line] = shorts[at];
      }
      long to = rows[firstRow + column] + (long) first * Short.BYTES;
      MemorySegment.copy(shortLine, 0, memory, ValueLayout.JAVA_SHORT_UNALIGNED, to, count);
    }
  }

  private void transposeInts(
      MemorySegment data, long from, int count, int columns, long[] rows, int firstRow, int first) {
    int elements = count * columns;
    if (ints.length < elements) {
      ints = new int[elements];
    }
    MemorySegment.copy(data, ValueLayout.JAVA_INT_UNALIGNED, from, ints, 0, elements);
    for (int column = 0; column < columns; column++) {
      for (int line = 0, at = column; line < count; line++, at += columns) {
        intLine[line] = ints[at];
      }
      long to = rows[firstRow + column] + (long) first * Integer.BYTES;
      MemorySegment.copy(intLine, 0, memory, ValueLayout.JAVA_INT_UNALIGNED, to, count);
    }
  }
}
