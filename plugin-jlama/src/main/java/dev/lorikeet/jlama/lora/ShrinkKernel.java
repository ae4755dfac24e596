package dev.lorikeet.jlama.lora;

import static dev.lorikeet.jlama.kernel.Lanes.BLOCK;
import static dev.lorikeet.jlama.kernel.Lanes.BYTES;
import static dev.lorikeet.jlama.kernel.Lanes.L;

import dev.lorikeet.adapter.LoraFactor;
import dev.lorikeet.jlama.kernel.Lanes;
import dev.lorikeet.jlama.kernel.NativeMemory;
import dev.lorikeet.tensor.ElementType;

/** v[t][r] = A[r] . x[t]: the shrink half of a LoRA delta. */
final class ShrinkKernel {
  /*
   * SGMV's shrink (Punica, arXiv 2310.18547) on vector lanes. Four rows of A run side by side, each against one or four
   * tokens, so that a weight is loaded and widened once for four tokens and four memory streams are open: not adjacent
   * rows but one of each quarter, since two streams in one page of memory confuse the processor's prefetcher (a step of
   * the 135 M model with eight adapters takes 4 % longer with adjacent rows). BF16 costs two operations per block of 2
   * L weights to widen and two fused multiply-adds per token: at one token 16 operations per 4 blocks, which outruns
   * memory; at four tokens 80 % of all vector operations are multiply-adds.
   *
   * The sum of one row and one token runs over blocks in order, one accumulator per lane, then over lanes in a fixed
   * tree. It does not depend on which rows and tokens run beside it; rows that do not fill a group of four repeat the
   * last one. The elements after the last whole block are copied into a zero-padded block and summed apart. F16 rows
   * are widened into scratch first.
   */
  private static final int ROWS = 4;

  private final Scratch scratch;

  ShrinkKernel(Scratch scratch) {
    this.scratch = scratch;
  }

  /**
   * Shrinks tokens whose inputs are packed in {@code scratch}, each scaled by its own factor.
   *
   * @param a the factor
   * @param rowFrom the first row to compute
   * @param rowTo the end of the rows to compute
   * @param tokens how many tokens
   * @param scales address of one scale per token
   * @param to address of the result for the first token and row 0, F32
   * @param stride bytes from one token's results to the next one's
   */
  void shrink(LoraFactor a, int rowFrom, int rowTo, int tokens, long scales, long to, long stride) {
    int rowsPerBlock = a.rank() / a.blocks();
    long blockBytes = 2L * BYTES * Lanes.blocks(a.rowLength());
    int r = rowFrom;
    while (r < rowTo) {
      int block = r / rowsPerBlock;
      int end = Math.min(rowTo, (block + 1) * rowsPerBlock);
      long x = scratch.packed + block * blockBytes;
      int quarter = (end - r) / ROWS;
      for (int i = 0; i < quarter; i++) {
        shrinkRows(a, r + i, ROWS, quarter, tokens, x, scales, to, stride);
      }
      r += ROWS * quarter;
      if (r < end) {
        shrinkRows(a, r, end - r, 1, tokens, x, scales, to, stride);
      }
      r = end;
    }
  }

  private void shrinkRows(
      LoraFactor a,
      int r,
      int rows,
      int step,
      int tokens,
      long x,
      long scales,
      long to,
      long stride) {
    long base = a.memory().address();
    long row0 = base + a.rowOffset(r);
    long row1 = base + a.rowOffset(r + step * Math.min(1, rows - 1));
    long row2 = base + a.rowOffset(r + step * Math.min(2, rows - 1));
    long row3 = base + a.rowOffset(r + step * Math.min(3, rows - 1));
    int length = a.rowLength();
    ElementType type = a.type();
    if (type == ElementType.F16) {
      long bytes = 2L * BYTES * Lanes.blocks(length);
      long wide = scratch.widened;
      for (int k = 0; k < ROWS; k++) {
        long row = base + a.rowOffset(r + step * Math.min(k, rows - 1));
        RowPacking.pack(type, row, length, wide + k * bytes, 2L * BYTES, true, scratch.tail);
      }
      row0 = wide;
      row1 = wide + bytes;
      row2 = wide + 2 * bytes;
      row3 = wide + 3 * bytes;
      length = Lanes.blocks(length) * BLOCK;
      type = ElementType.F32;
    }
    int full = length / BLOCK;
    long packedStride = scratch.packedStride;
    ShrinkLoops.multiply(type, row0, row1, row2, row3, full, x, packedStride, tokens, scratch.sums);
    int rest = length - full * BLOCK;
    if (rest > 0) {
      long done = (long) full * BLOCK * type.bytes();
      long bytes = (long) rest * type.bytes();
      long tail = scratch.tail;
      Lanes.zeroBlocks(tail, ROWS);
      NativeMemory.copy(row0 + done, tail, bytes);
      NativeMemory.copy(row1 + done, tail + 2L * BYTES, bytes);
      NativeMemory.copy(row2 + done, tail + 4L * BYTES, bytes);
      NativeMemory.copy(row3 + done, tail + 6L * BYTES, bytes);
      ShrinkLoops.multiply(
          type,
          tail,
          tail + 2L * BYTES,
          tail + 4L * BYTES,
          tail + 6L * BYTES,
          1,
          x + full * 2L * BYTES,
          packedStride,
          tokens,
          scratch.tailSums);
    }
    for (int t = 0; t < tokens; t++) {
      float scale = NativeMemory.get(scales + 4L * t);
      for (int k = 0; k < rows; k++) {
        long lane = 4L * t * BYTES + k * (long) L;
        float sum = NativeMemory.get(scratch.sums + lane);
        if (rest > 0) {
          sum += NativeMemory.get(scratch.tailSums + lane);
        }
        NativeMemory.set(to + t * stride + 4L * (r + k * step), scale * sum);
      }
    }
  }
}
