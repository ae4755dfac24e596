package dev.lorikeet.arrow;

import dev.lorikeet.adapter.LoraFactor;
import dev.lorikeet.adapter.LoraWeights;
import dev.lorikeet.adapter.TargetSpec;
import dev.lorikeet.tensor.Device;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Optional;

/** Writes the weights of one adapter into its pages, B transposed, and describes where they are. */
final class PageWriter implements WeightSink {
  /*
   * Idea: B comes as [out, rank] and is kept as [rank, out]. A tile of TILE outputs is copied to an
   * array, transposed there line by line, and each line copied to its row, so that strided access
   * stays within the first-level cache.
   */
  private static final int TILE = 256;

  private final List<TargetSpec> targets;
  private final MemorySegment memory;
  private final long[][] offsets;
  private short[] shorts = {};
  private int[] ints = {};
  private final short[] shortLine = new short[TILE];
  private final int[] intLine = new int[TILE];

  PageWriter(List<TargetSpec> targets, PageLayout layout, int[] pages, MemorySegment memory) {
    this.targets = targets;
    this.memory = memory;
    offsets = new long[2 * targets.size()][];
    for (int factor = 0; factor < offsets.length; factor++) {
      offsets[factor] = layout.rowOffsets(factor, pages);
    }
  }

  /** Returns the table of weights by {@link dev.lorikeet.adapter.TargetModule#index}. */
  List<Optional<LoraWeights>> table() {
    int last = targets.getLast().target().index();
    List<Optional<LoraWeights>> table =
        new ArrayList<>(Collections.nCopies(last + 1, Optional.empty()));
    for (int t = 0; t < targets.size(); t++) {
      TargetSpec spec = targets.get(t);
      LoraFactor a = factor(spec, spec.inFeatures(), spec.aBlocks(), offsets[2 * t]);
      LoraFactor b = factor(spec, spec.outFeatures(), spec.bBlocks(), offsets[2 * t + 1]);
      table.set(
          spec.target().index(), Optional.of(new LoraWeights(spec.target(), a, b, spec.scaling())));
    }
    return List.copyOf(table);
  }

  private LoraFactor factor(TargetSpec spec, int width, int blocks, long[] rows) {
    return new LoraFactor(spec.type(), width, blocks, Device.HOST, memory, rows);
  }

  @Override
  public void accept(
      int target, TargetSpec spec, Factor factor, int firstLine, int lines, MemorySegment data) {
    switch (factor) {
      case A -> {
        long bytes = data.byteSize() / lines;
        for (int line = 0; line < lines; line++) {
          MemorySegment.copy(
              data, line * bytes, memory, offsets[2 * target][firstLine + line], bytes);
        }
      }
      case B_BY_OUTPUT -> {
        int block = spec.outFeatures() / spec.bBlocks();
        int columns = spec.rank() / spec.bBlocks();
        int done = 0;
        while (done < lines) {
          int output = firstLine + done;
          int inBlock = output % block;
          int count = Math.min(Math.min(TILE, lines - done), block - inBlock);
          long[] rows = offsets[2 * target + 1];
          int firstRow = output / block * columns;
          long from = (long) done * columns * spec.type().bytes();
          if (spec.type().bytes() == Short.BYTES) {
            transposeShorts(data, from, count, columns, rows, firstRow, inBlock);
          } else {
            transposeInts(data, from, count, columns, rows, firstRow, inBlock);
          }
          done += count;
        }
      }
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
