package dev.lorikeet.jlama.kernel;

import static dev.lorikeet.jlama.kernel.Lanes.BLOCK;
import static dev.lorikeet.jlama.kernel.Lanes.BLOCK_BYTES;
import static dev.lorikeet.jlama.kernel.Lanes.BYTES;
import static dev.lorikeet.jlama.kernel.Lanes.L;
import static dev.lorikeet.jlama.kernel.Lanes.LE;
import static dev.lorikeet.jlama.kernel.NativeMemory.ADDRESS;
import static dev.lorikeet.jlama.kernel.NativeMemory.ALL;

import dev.lorikeet.tensor.ElementType;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import jdk.incubator.vector.FloatVector;

/** Matrix products on the Vector API. */
final class VectorMatMul implements MatMul {
  /*
   * Idea. A decode step reads every weight once and uses it for few tokens: it should run at the speed of memory. A prefill uses it for hundreds: at the speed of the
   * FMA units. Both split the output rows over the shards in tiles of 16 rows and the tokens in blocks of four (the last of four, two or one; a block of three is
   * padded, since computing a fourth token costs less than a second pass over three).
   *
   * Layout. Packed x: token block after token block; in it [column block][token][L evens, L odds] with column blocks of 2 L, zero-padded at the end. So one base
   * address and constant offsets reach all of a step's operands, in the order of memory. Sums of a tile: [token][row][L], reduced L rows at once by Lanes.sums to a
   * vector of y: about 4 instructions for each row and token, where a reduction on its own takes 10 and is not specified to add in the same order every time.
   *
   * Paths. Up to 16 tokens, BF16 is widened in registers (Bf16Kernels), four rows at a time for all token blocks (the last four overlap when the rows do not divide), so that the second block finds the rows in the
   * first-level cache. More tokens, or any other type: the tile is widened once to float32 in scratch memory (WeightTile), then multiplied by token after token block
   * (F32Kernels). Token blocks are taken in chunks whose packed x fits in CHUNK_BYTES of the second-level cache; each chunk streams the weights anew.
   *
   * Invariance. Every kernel adds the products of a row and a token in the same order, so no result depends on the batch, the path or the number of shards.
   */
  private static final long CHUNK_BYTES = 512 << 10;

  private static final long TOKEN_SUMS = TILE_ROWS * BYTES;

  @Override
  public void pack(
      ActivationPanel panel,
      MemorySegment x,
      long xStride,
      int tokens,
      int columns,
      int shard,
      int shards) {
    panel.reshape(tokens, columns);
    long from = NativeMemory.address("x", x, tokens, columns * 4L, xStride);
    long padded = ActivationPanel.roundUp(columns, BLOCK);
    long to = panel.packed().address();
    int end = NativeMemory.firstOf(shard + 1, shards, tokens);
    for (int token = NativeMemory.firstOf(shard, shards, tokens); token < end; token++) {
      int first = token / MAX_TOKEN_BLOCK * MAX_TOKEN_BLOCK;
      int width = MatMul.blockWidth(tokens - first);
      packToken(
          from + token * xStride,
          columns,
          to + (first * padded + (token - first) * BLOCK) * Float.BYTES,
          width * BLOCK_BYTES);
    }
  }

  /** Packs a row: blocks of evens and odds at a distance of {@code step} bytes, zero-padded. */
  static void packToken(long from, int columns, long to, long step) {
    int blocks = columns / BLOCK;
    long source = from & ADDRESS;
    long target = to & ADDRESS;
    for (int b = 0; b < blocks; b++) {
      FloatVector low = FloatVector.fromMemorySegment(Lanes.F, ALL, source + b * BLOCK_BYTES, LE);
      FloatVector high =
          FloatVector.fromMemorySegment(Lanes.F, ALL, source + b * BLOCK_BYTES + BYTES, LE);
      long at = (target + b * step) & ADDRESS;
      low.rearrange(Lanes.EVEN, high).intoMemorySegment(ALL, at, LE);
      low.rearrange(Lanes.ODD, high).intoMemorySegment(ALL, at + BYTES, LE);
    }
    int rest = columns - blocks * BLOCK;
    if (rest > 0) {
      long at = target + blocks * step;
      for (int i = 0; i < BLOCK; i++) {
        float value =
            i < rest
                ? ALL.get(
                    ValueLayout.JAVA_FLOAT_UNALIGNED, source + (blocks * (long) BLOCK + i) * 4)
                : 0;
        ALL.set(ValueLayout.JAVA_FLOAT, at + WeightTile.place(i), value);
      }
    }
  }

  @Override
  public void multiply(
      WeightMatrix weights,
      ActivationPanel panel,
      MemorySegment y,
      long yStride,
      int shard,
      int shards) {
    long out = MatMul.checkOutput(weights, panel, y, yStride);
    int tiles = (weights.rows() + TILE_ROWS - 1) / TILE_ROWS;
    int firstRow = NativeMemory.firstOf(shard, shards, tiles) * TILE_ROWS;
    int endRow =
        Math.min(weights.rows(), NativeMemory.firstOf(shard + 1, shards, tiles) * TILE_ROWS);
    long scratch = panel.scratch(shard).address();
    if (panel.tokens() <= MAX_DIRECT_TOKENS
        && weights instanceof WeightMatrix.Floats floats
        && floats.type() == ElementType.BF16
        && floats.columns() % BLOCK == 0) {
      direct(floats, panel, firstRow, endRow, scratch, out, yStride);
    } else {
      widened(weights, panel, firstRow, endRow, scratch, out, yStride);
    }
  }

  private static void direct(
      WeightMatrix.Floats weights,
      ActivationPanel panel,
      int firstRow,
      int endRow,
      long sums,
      long y,
      long yStride) {
    int tokens = panel.tokens();
    int columns = weights.columns();
    long rowBytes = columns * 2L;
    long w = weights.segment().address();
    for (int row = firstRow; row < endRow; row += TILE_ROWS) {
      int rows = Math.min(TILE_ROWS, endRow - row);
      if (rows < 4) {
        for (int r = 0; r < rows; r++) {
          bf16(panel, w + (row + r) * rowBytes, 0, columns, sums + r * BYTES);
        }
      } else {
        for (int r = 0; r < rows; r += 4) {
          int quad = Math.min(r, rows - 4);
          bf16(panel, w + (row + quad) * rowBytes, rowBytes, columns, sums + quad * BYTES);
        }
      }
      reduce(sums, rows, tokens, y + row * 4L, yStride);
    }
  }

  private static void widened(
      WeightMatrix weights,
      ActivationPanel panel,
      int firstRow,
      int endRow,
      long sums,
      long y,
      long yStride) {
    int tokens = panel.tokens();
    long padded = ActivationPanel.roundUp(weights.columns(), BLOCK);
    int blocks = (int) (padded / BLOCK);
    int chunk =
        (int)
            ActivationPanel.roundUp(
                Math.max(1, CHUNK_BYTES / (padded * Float.BYTES)), MAX_TOKEN_BLOCK);
    long tile = sums + SUMS_BYTES;
    for (int begin = 0; begin < tokens; begin += chunk) {
      int end = Math.min(tokens, begin + chunk);
      for (int row = firstRow; row < endRow; row += TILE_ROWS) {
        int rows = Math.min(TILE_ROWS, endRow - row);
        WeightTile.widen(weights, row, rows, tile, padded);
        for (int token = begin; token < end; token += MAX_TOKEN_BLOCK) {
          int width = MatMul.blockWidth(tokens - token);
          long x = panel.packed().address() + token * padded * Float.BYTES;
          for (int r = 0; r < TILE_ROWS; r += 4) {
            f32(
                width,
                tile + r * padded * Float.BYTES,
                padded * Float.BYTES,
                x,
                sums + r * BYTES,
                blocks);
          }
          reduce(
              sums, rows, Math.min(width, tokens - token), y + token * yStride + row * 4L, yStride);
        }
      }
    }
  }

  /** Multiplies four rows, or one row four times when {@code rowBytes} is 0, by all tokens. */
  private static void bf16(ActivationPanel panel, long w, long rowBytes, int columns, long sums) {
    long x = panel.packed().address();
    int blocks = columns / BLOCK;
    int tokens = panel.tokens();
    for (int token = 0; token < tokens; token += MAX_TOKEN_BLOCK) {
      long xs = x + (long) token * columns * Float.BYTES;
      long to = sums + token * TOKEN_SUMS;
      switch (MatMul.blockWidth(tokens - token)) {
        case 1 -> Bf16Kernels.rows4x1(w, rowBytes, xs, to, blocks);
        case 2 -> Bf16Kernels.rows4x2(w, rowBytes, xs, to, blocks);
        default -> Bf16Kernels.rows4x4(w, rowBytes, xs, to, blocks);
      }
    }
  }

  /** Multiplies four widened rows by a block of {@code width} packed tokens. */
  static void f32(int width, long w, long rowBytes, long x, long sums, int blocks) {
    switch (width) {
      case 1 -> F32Kernels.rows4x1(w, rowBytes, x, sums, blocks);
      case 2 -> F32Kernels.rows4x2(w, rowBytes, x, sums, blocks);
      default -> F32Kernels.rows4x4(w, rowBytes, x, sums, blocks);
    }
  }

  /** Reduces the sums of a tile to {@code rows} elements of y for each token. */
  private static void reduce(long sums, int rows, int tokens, long y, long yStride) {
    for (int token = 0; token < tokens; token++) {
      for (int r = 0; r < rows; r += L) {
        Lanes.sums(sums + token * TOKEN_SUMS + r * BYTES, y + token * yStride + r * 4L, rows - r);
      }
    }
  }
}
