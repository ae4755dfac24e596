package dev.lorikeet.jlama.lora;

import static dev.lorikeet.jlama.kernel.Lanes.BLOCK;
import static dev.lorikeet.jlama.kernel.Lanes.BYTES;
import static dev.lorikeet.jlama.kernel.Lanes.F;
import static dev.lorikeet.jlama.kernel.Lanes.LE;
import static dev.lorikeet.jlama.kernel.NativeMemory.ADDRESS;
import static dev.lorikeet.jlama.kernel.NativeMemory.ALL;

import dev.lorikeet.adapter.LoraFactor;
import dev.lorikeet.jlama.kernel.Lanes;
import dev.lorikeet.jlama.kernel.NativeMemory;
import dev.lorikeet.tensor.ElementType;
import jdk.incubator.vector.FloatVector;

/** y[t] += sum over r of v[t][r] * B[r]: the expand half of a LoRA delta. */
final class ExpandKernel {
  /*
   * SGMV's expand (Punica, arXiv 2310.18547) on vector lanes. A slice of the outputs of up to four tokens is summed in
   * scratch that stays in the first-level cache, while four rows of B at a time stream past, one of each quarter as in
   * ShrinkKernel; a weight is loaded and widened once for four tokens. Per block of 2 L outputs and four rows that is
   * 16 operations for one token beside two loads and stores of sums. At the end the sums are brought to natural order
   * and added to y, so that y is read and written once per call and segment.
   *
   * Every output is a chain of fused multiply-adds from 0 over the rows in an order that only their number decides,
   * whatever lane, slice or group of tokens it is computed in.
   */
  private static final int ROWS = ExpandLoops.ROWS;

  /** Outputs per slice: 4 tokens are 32 KiB of sums. */
  static final int SLICE = 2048;

  private final Scratch scratch;

  ExpandKernel(Scratch scratch) {
    this.scratch = scratch;
  }

  /**
   * Expands up to four tokens into the outputs {@code [from, to)}.
   *
   * @param b the factor
   * @param tokens how many tokens, 1 to 4; their outputs' addresses (feature 0) are in {@code
   *     scratch}
   * @param v address of the first token's shrunk values, F32, one per row
   * @param stride bytes from one token's shrunk values to the next one's
   */
  void expand(LoraFactor b, int from, int to, int tokens, long v, long stride) {
    int rowsPerBlock = b.rank() / b.blocks();
    int length = b.rowLength();
    for (int block = from / length; block * length < to; block++) {
      int start = block * length;
      int end = Math.min(to, start + length);
      for (int o = Math.max(from, start); o < end; o += SLICE) {
        int row = block * rowsPerBlock;
        expandSlice(b, row, row + rowsPerBlock, o, Math.min(SLICE, end - o), tokens, v, stride);
      }
    }
  }

  private void expandSlice(
      LoraFactor b, int rowFrom, int rowTo, int o, int length, int tokens, long v, long stride) {
    long step = 2L * BYTES * Lanes.blocks(length);
    Lanes.zeroBlocks(scratch.outputs, tokens * Lanes.blocks(length));
    long base = b.memory().address() + (long) (o - b.rowStart(rowFrom)) * b.type().bytes();
    int quarter = (rowTo - rowFrom) / ROWS;
    for (int r = rowFrom; r < rowFrom + quarter; r++) {
      addRows(b, base, r, ROWS, quarter, length, tokens, v + 4L * r, stride, step);
    }
    for (int r = rowFrom + ROWS * quarter; r < rowTo; r++) {
      addRows(b, base, r, 1, 1, length, tokens, v + 4L * r, stride, step);
    }
    for (int t = 0; t < tokens; t++) {
      addTo(
          scratch.outputs + t * step,
          length,
          scratch.outputAddress(t) + 4L * o,
          b.type() != ElementType.F32);
    }
  }

  private void addRows(
      LoraFactor b,
      long base,
      int r,
      int rows,
      int apart,
      int length,
      int tokens,
      long v,
      long stride,
      long step) {
    ElementType type = b.type();
    long row0 = base + b.rowOffset(r);
    long row1 = base + b.rowOffset(r + apart * Math.min(1, rows - 1));
    long row2 = base + b.rowOffset(r + apart * Math.min(2, rows - 1));
    long row3 = base + b.rowOffset(r + apart * Math.min(3, rows - 1));
    int full = length / BLOCK;
    int rest = length - full * BLOCK;
    if (type == ElementType.F16) {
      long wide = scratch.widened;
      for (int k = 0; k < rows; k++) {
        long row = base + b.rowOffset(r + apart * k);
        RowPacking.pack(type, row, length, wide + k * step, 2L * BYTES, true, scratch.tail);
      }
      row0 = wide;
      row1 = wide + step;
      row2 = wide + 2 * step;
      row3 = wide + 3 * step;
      full = Lanes.blocks(length);
      rest = 0;
      type = ElementType.F32;
    }
    long sums = scratch.outputs;
    boolean narrow = type == ElementType.BF16;
    ExpandLoops.add(
        narrow, rows, row0, row1, row2, row3, full, tokens, v, 4L * apart, stride, sums, step);
    if (rest > 0) {
      long done = (long) full * BLOCK * type.bytes();
      long bytes = (long) rest * type.bytes();
      long tail = scratch.tail;
      Lanes.zeroBlocks(tail, ROWS);
      NativeMemory.copy(row0 + done, tail, bytes);
      NativeMemory.copy(row1 + done, tail + 2L * BYTES, bytes);
      NativeMemory.copy(row2 + done, tail + 4L * BYTES, bytes);
      NativeMemory.copy(row3 + done, tail + 6L * BYTES, bytes);
      ExpandLoops.add(
          narrow,
          rows,
          tail,
          tail + 2L * BYTES,
          tail + 4L * BYTES,
          tail + 6L * BYTES,
          1,
          tokens,
          v,
          4L * apart,
          stride,
          sums + full * 2L * BYTES,
          step);
    }
  }

  private void addTo(long sums, int length, long y, boolean split) {
    int full = length / BLOCK;
    addBlocks(sums, full, y, split);
    int rest = length - full * BLOCK;
    if (rest > 0) {
      long tail = scratch.tail;
      Lanes.zeroBlocks(tail, 1);
      NativeMemory.copy(y + full * 2L * BYTES, tail, 4L * rest);
      addBlocks(sums + full * 2L * BYTES, 1, tail, split);
      NativeMemory.copy(tail, y + full * 2L * BYTES, 4L * rest);
    }
  }

  private static void addBlocks(long sums, int blocks, long y, boolean split) {
    if (split) {
      addSplit(sums, blocks, y);
    } else {
      addNatural(sums, blocks, y);
    }
  }

  private static void addSplit(long sums, int blocks, long y) {
    for (int i = 0; i < blocks; i++) {
      long v = i * 2L * BYTES;
      FloatVector even = FloatVector.fromMemorySegment(F, ALL, (sums + v) & ADDRESS, LE);
      FloatVector odd = FloatVector.fromMemorySegment(F, ALL, (sums + v + BYTES) & ADDRESS, LE);
      FloatVector first = even.rearrange(Lanes.JOIN_LOW, odd);
      FloatVector second = even.rearrange(Lanes.JOIN_HIGH, odd);
      FloatVector y0 = FloatVector.fromMemorySegment(F, ALL, (y + v) & ADDRESS, LE);
      FloatVector y1 = FloatVector.fromMemorySegment(F, ALL, (y + v + BYTES) & ADDRESS, LE);
      y0.add(first).intoMemorySegment(ALL, (y + v) & ADDRESS, LE);
      y1.add(second).intoMemorySegment(ALL, (y + v + BYTES) & ADDRESS, LE);
    }
  }

  private static void addNatural(long sums, int blocks, long y) {
    for (int i = 0; i < 2 * blocks; i++) {
      long v = (long) i * BYTES;
      FloatVector before = FloatVector.fromMemorySegment(F, ALL, (y + v) & ADDRESS, LE);
      FloatVector delta = FloatVector.fromMemorySegment(F, ALL, (sums + v) & ADDRESS, LE);
      before.add(delta).intoMemorySegment(ALL, (y + v) & ADDRESS, LE);
    }
  }
}
