package dev.lorikeet.jlama.kernel;

import static dev.lorikeet.jlama.kernel.Lanes.BLOCK;
import static dev.lorikeet.jlama.kernel.Lanes.BLOCK_BYTES;
import static dev.lorikeet.jlama.kernel.Lanes.BYTES;
import static dev.lorikeet.jlama.kernel.Lanes.L;
import static dev.lorikeet.jlama.kernel.Lanes.LE;
import static dev.lorikeet.jlama.kernel.NativeMemory.ADDRESS;
import static dev.lorikeet.jlama.kernel.NativeMemory.ALL;

import dev.lorikeet.tensor.ElementType;
import java.lang.foreign.ValueLayout;
import jdk.incubator.vector.FloatVector;

/** Matrix products on the Vector API. */
final class VectorMatMul implements MatMul {
  /*
   * Idea. A decode step reads every weight once and uses it for few tokens: it should run at the speed of memory. A
   * prefill uses it for hundreds: at the speed of the FMA units. Both split the output rows over the shards and the
   * tokens in blocks of four (the last of four, two or one; a block of three is padded, since computing a fourth token
   * costs less than a second pass over three).
   *
   * Streams. Kernels take four rows at a time, not four adjacent ones but one from each quarter of the shard's slice.
   * So a shard reads four sequential streams in different pages, which keeps four of the processor's prefetchers at
   * work while it computes; adjacent rows share pages, and then reading and computing add up instead of overlapping.
   * Rows that four does not divide are done one by one. With two token blocks each also touches two of the next rows
   * (rows4x4Ahead), since the second finds all it needs in the cache and would leave memory idle.
   *
   * Layout. Packed x: token block after token block; in it [column block][token][L evens, L odds] with column blocks of
   * 2 L, zero-padded at the end. So one base address and constant offsets reach all of a step's operands, in the order
   * of memory. A tile is four rows of each stream; its sums are [token][stream][row][L], reduced L at once by
   * Lanes.sums: about 4 instructions for each row and token, where a reduction on its own takes 10 and may add in any
   * order.
   *
   * Paths. BF16 is widened in registers (Bf16Kernels), for up to 16 tokens one row of each stream at a time, so that
   * later token blocks find it in the first-level cache; and Q4 for up to four tokens (Q4Kernels). All else, and rows
   * that are no whole blocks, is widened to float32 in scratch memory (WeightTile) and multiplied from there
   * (F32Kernels): for up to 16 tokens a row of each stream at a time, which stays in the first-level cache, otherwise a
   * tile. (Widening F16 in registers gained 2 to 9 %, in kernels so large that C2 sometimes boxed their vectors;
   * keeping what a first block of Q4 tokens widened 4 to 7 %.) Tokens are taken in chunks whose packed x fits in
   * CHUNK_BYTES of the second-level cache; each chunk streams the weights anew.
   *
   * Invariance. Every kernel adds the products of a row and a token in the same order, so no result depends on the
   * batch, the path or the number of shards.
   *
   * Cost, foreseen for the 135 M shape in BF16 (269 MB): reading 269 MB / bandwidth, arithmetic 2 * 134.5 M * tokens *
   * 1.25 / peak (a widening for every four FMAs), whichever is longer. Measured over all products of a step on one
   * thread of a busy Sapphire Rapids machine with 512-bit vectors (15 GB/s, 187 GFLOP/s per core), in shares of the
   * floor for 1, 4, 8, 16 and 256 tokens: 89, 83, 64, 45 and 54 % from huge pages (HugePages), 79, 74, 56, 44 and 54 %
   * from 4 KiB pages. The kernel alone, from cache, runs at 142 to 153 GFLOP/s, of 150 foreseen; 12 % of the rest goes
   * into the sums across lanes for rows of 576, and at 8 tokens reading and computing overlap only in part. Two
   * threads, for 1, 4, 8, 16 and 256 tokens: F16 takes 1.29, 1.33, 1.35, 1.21 and 1.08 times as long as BF16, Q4 0.51,
   * 0.74, 1.00, 0.99 and 1.03 times.
   */
  private static final long CHUNK_BYTES = 512 << 10;

  private static final int STREAMS = 4;
  private static final int TILE_HEIGHT = TILE_ROWS / STREAMS;

  private static final long TOKEN_SUMS = TILE_ROWS * BYTES;

  // Scratch memory of a shard: the sums of a tile, the reduced sums of a token, widened rows of a
  // tile.
  private static final long RESULT_OFFSET = MAX_GROUP_TOKENS * TOKEN_SUMS;
  private static final long TILE_OFFSET = RESULT_OFFSET + TILE_ROWS * Float.BYTES;

  @Override
  public void pack(ActivationPanel panel, Rows x, int tokens, Shard shard) {
    int columns = x.columns();
    panel.reshape(tokens, columns);
    long from = x.address("x", tokens, columns);
    int end = shard.end(tokens);
    for (int token = shard.first(tokens); token < end; token++) {
      packToken(panel, from + token * x.stride(), columns, token, tokens);
    }
  }

  @Override
  public void pack(ActivationPanel panel, Rows x, ExpertGroups groups, int expert, Shard shard) {
    int columns = x.columns();
    int first = groups.first(expert);
    int count = groups.end(expert) - first;
    panel.reshape(count, columns);
    int end = shard.end(count);
    for (int i = shard.first(count); i < end; i++) {
      int token = groups.token(first + i);
      long from = x.address("x", token + 1, columns);
      packToken(panel, from + token * x.stride(), columns, i, count);
    }
  }

  /** Packs a row as one of {@code tokens} tokens of the panel. */
  private static void packToken(
      ActivationPanel panel, long from, int columns, int token, int tokens) {
    long padded = ActivationPanel.roundUp(columns, BLOCK);
    long to = panel.packed().address();
    int first = token / panel.widest() * panel.widest();
    int width = panel.blockWidth(tokens - first);
    packToken(
        from,
        columns,
        to + ((long) first * padded + (long) (token - first) * BLOCK) * Float.BYTES,
        width * BLOCK_BYTES);
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
  public void multiply(WeightMatrix weights, ActivationPanel panel, Rows y, Shard shard) {
    MatMul.checkOutput(weights, panel, y);
    int tiles = (weights.rows() + TILE_ROWS - 1) / TILE_ROWS;
    int first = shard.first(tiles) * TILE_ROWS;
    int end = Math.min(weights.rows(), shard.end(tiles) * TILE_ROWS);
    int quarter = Math.max(0, end - first) / STREAMS;
    int chunk = chunk(weights.columns());
    int tokens = panel.tokens();
    for (int begin = 0; begin < tokens; begin += chunk) {
      int endToken = Math.min(tokens, begin + chunk);
      for (int row = first; row < first + quarter; row += TILE_HEIGHT) {
        int left = first + quarter - row;
        if (!tile(weights, panel, row, quarter, STREAMS, left, begin, endToken, tokens, y, shard)) {
          return;
        }
      }
      for (int row = first + STREAMS * quarter; row < end; row++) {
        if (!tile(weights, panel, row, 0, 1, 1, begin, endToken, tokens, y, shard)) {
          return;
        }
      }
    }
  }

  /** Returns how many tokens' packed rows fit in CHUNK_BYTES. */
  private static int chunk(int columns) {
    long rowBytes = ActivationPanel.roundUp(columns, BLOCK) * Float.BYTES;
    return (int) ActivationPanel.roundUp(Math.max(1, CHUNK_BYTES / rowBytes), MAX_TOKEN_BLOCK);
  }

  /**
   * Multiplies rows {@code row + stream * step + i}, for i below TILE_HEIGHT and {@code left}, the
   * rows left in a stream, by the tokens of a chunk, and returns whether it could store. With one
   * stream the step is 0, and the kernels compute that row four times.
   */
  private static boolean tile(
      WeightMatrix weights,
      ActivationPanel panel,
      int row,
      int step,
      int streams,
      int left,
      int begin,
      int end,
      int tokens,
      Rows y,
      Shard shard) {
    long scratch = panel.scratch(shard).address();
    int height = Math.min(TILE_HEIGHT, left);
    int columns = weights.columns();
    long padded = ActivationPanel.roundUp(columns, BLOCK);
    int blocks = (int) (padded / BLOCK);
    boolean bf16 =
        weights instanceof WeightMatrix.Floats floats
            && floats.type() == ElementType.BF16
            && columns == padded;
    boolean few = end - begin <= MAX_GROUP_TOKENS;
    boolean fused =
        weights instanceof WeightMatrix.Q4 && Q4Kernels.AVAILABLE && end - begin <= panel.widest();
    long rowBytes = bf16 ? columns * 2L : padded * Float.BYTES;
    long w =
        bf16
            ? ((WeightMatrix.Floats) weights).segment().address() + row * rowBytes
            : scratch + TILE_OFFSET;
    long rowStep = bf16 ? step * rowBytes : few ? rowBytes : TILE_HEIGHT * rowBytes;
    if (!bf16 && !few) {
      for (int slot = 0; slot < TILE_ROWS; slot++) {
        if (slot % TILE_HEIGHT < height) {
          WeightTile.widen(
              weights, row + slot / TILE_HEIGHT * step + slot % TILE_HEIGHT, w + slot * rowBytes);
        }
      }
    }
    int most = panel.widest();
    int group = few ? MAX_GROUP_TOKENS : most;
    // With more token blocks the touched lines would have to outlast too much else in the cache.
    boolean twoBlocks = end - begin > MAX_TOKEN_BLOCK && end - begin <= 2 * MAX_TOKEN_BLOCK;
    for (int token = begin; token < end; token += group) {
      int last = Math.min(end, token + group);
      for (int i = 0; i < height; i++) {
        if (fused) {
          long x = panel.packed().address() + begin * padded * Float.BYTES;
          int width = panel.blockWidth(tokens - begin);
          q4(width, (WeightMatrix.Q4) weights, row + i, step, x, scratch + i * BYTES, blocks);
          continue;
        }
        long rows = bf16 || !few ? w + i * rowBytes : w;
        if (!bf16 && few) {
          for (int stream = 0; stream < STREAMS; stream++) {
            WeightTile.widen(weights, row + stream * step + i, w + stream * rowStep);
          }
        }
        for (int t = token; t < last; t += most) {
          int width = panel.blockWidth(tokens - t);
          long x = panel.packed().address() + t * padded * Float.BYTES;
          long sums = scratch + (t - token) * TOKEN_SUMS + i * BYTES;
          long sumStep = TILE_HEIGHT * BYTES;
          int pair = (t - begin) / MAX_TOKEN_BLOCK;
          if (bf16 && twoBlocks && width == 4 && i + 1 < left) {
            long next = rows + rowBytes + 2L * pair * rowStep;
            int touched =
                Bf16Kernels.rows4x4Ahead(rows, rowStep, x, sums, sumStep, blocks, next, rowStep);
            ALL.set(ValueLayout.JAVA_INT, scratch + RESULT_OFFSET, touched);
          } else if (bf16) {
            bf16(width, rows, rowStep, x, sums, sumStep, blocks);
          } else {
            f32(width, rows, rowStep, x, sums, sumStep, blocks);
          }
        }
      }
      if (!shard.beginStore()) {
        return false;
      }
      for (int t = token; t < last; t++) {
        store(
            scratch + (t - token) * TOKEN_SUMS,
            scratch + RESULT_OFFSET,
            streams,
            height,
            y.segment().address() + t * y.stride() + row * 4L,
            step * 4L);
      }
      shard.endStore();
    }
    return true;
  }

  /**
   * Multiplies four rows of BF16 by a block of {@code width} packed tokens; see {@link
   * Bf16Kernels}.
   */
  private static void bf16(
      int width, long w, long rowStep, long x, long sums, long sumStep, int blocks) {
    switch (width) {
      case 1 -> Bf16Kernels.rows4x1(w, rowStep, x, sums, sumStep, blocks);
      case 2 -> Bf16Kernels.rows4x2(w, rowStep, x, sums, sumStep, blocks);
      default -> Bf16Kernels.rows4x4(w, rowStep, x, sums, sumStep, blocks);
    }
  }

  /**
   * Multiplies the rows {@code row + stream * step} of Q4 by a block of {@code width} packed
   * tokens; see {@link Q4Kernels}.
   */
  private static void q4(
      int width, WeightMatrix.Q4 weights, int row, int step, long x, long sums, int blocks) {
    long sumStep = TILE_HEIGHT * BYTES;
    long rowBytes = blocks * Q4Kernels.BLOCK_NIBBLES;
    long rowStep = step * rowBytes;
    long scaleBytes = (long) blocks * Float.BYTES;
    long scaleStep = step * scaleBytes;
    long first = weights.nibbles().address() + row * rowBytes;
    long firstScales = weights.scales().address() + row * scaleBytes;
    if (width == 1) {
      Q4Kernels.rows4x1(first, rowStep, firstScales, scaleStep, x, sums, sumStep, blocks);
      return;
    }
    for (int stream = 0; stream < STREAMS; stream += 2) {
      long w = first + stream * rowStep;
      long scales = firstScales + stream * scaleStep;
      long to = sums + stream * sumStep;
      if (width == 2) {
        Q4Kernels.rows2x2(w, rowStep, scales, scaleStep, x, to, sumStep, blocks);
      } else {
        Q4Kernels.rows2x4(w, rowStep, scales, scaleStep, x, to, sumStep, blocks);
      }
    }
  }

  /**
   * Multiplies four widened rows by a block of {@code width} packed tokens; see {@link F32Kernels}.
   */
  static void f32(int width, long w, long rowStep, long x, long sums, long sumStep, int blocks) {
    switch (width) {
      case 1 -> F32Kernels.rows4x1(w, rowStep, x, sums, sumStep, blocks);
      case 2 -> F32Kernels.rows4x2(w, rowStep, x, sums, sumStep, blocks);
      default -> F32Kernels.rows4x4(w, rowStep, x, sums, sumStep, blocks);
    }
  }

  /**
   * Reduces a token's sums of a tile and stores {@code height} results for each stream, streams
   * {@code streamBytes} apart.
   */
  private static void store(
      long sums, long result, int streams, int height, long y, long streamBytes) {
    for (int slot = 0; slot < TILE_ROWS; slot += L) {
      Lanes.sums(sums + slot * BYTES, result + slot * 4L, L);
    }
    for (int stream = 0; stream < streams; stream++) {
      long from = result + (long) stream * TILE_HEIGHT * 4;
      long to = y + stream * streamBytes;
      if (height == TILE_HEIGHT) {
        ALL.set(
            ValueLayout.JAVA_LONG_UNALIGNED, to, ALL.get(ValueLayout.JAVA_LONG_UNALIGNED, from));
        ALL.set(
            ValueLayout.JAVA_LONG_UNALIGNED,
            to + 8,
            ALL.get(ValueLayout.JAVA_LONG_UNALIGNED, from + 8));
      } else {
        for (int i = 0; i < height; i++) {
          ALL.set(
              ValueLayout.JAVA_FLOAT_UNALIGNED,
              to + i * 4L,
              ALL.get(ValueLayout.JAVA_FLOAT_UNALIGNED, from + i * 4L));
        }
      }
    }
  }
}
