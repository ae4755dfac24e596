package dev.lorikeet.jlama.kernel;

import static dev.lorikeet.jlama.kernel.BackScratch.COLUMNS;
import static dev.lorikeet.jlama.kernel.BackScratch.DEPTH;
import static dev.lorikeet.jlama.kernel.BackScratch.STEP;
import static dev.lorikeet.jlama.kernel.BackScratch.SUMS;
import static dev.lorikeet.jlama.kernel.BackScratch.TOKENS;
import static dev.lorikeet.jlama.kernel.Lanes.BLOCK;
import static dev.lorikeet.jlama.kernel.Lanes.BLOCK_BYTES;
import static dev.lorikeet.jlama.kernel.Lanes.BYTES;
import static dev.lorikeet.jlama.kernel.Lanes.F;
import static dev.lorikeet.jlama.kernel.Lanes.JOIN_HIGH;
import static dev.lorikeet.jlama.kernel.Lanes.JOIN_LOW;
import static dev.lorikeet.jlama.kernel.Lanes.LE;
import static dev.lorikeet.jlama.kernel.NativeMemory.ADDRESS;
import static dev.lorikeet.jlama.kernel.NativeMemory.ALL;

import java.util.List;
import jdk.incubator.vector.FloatVector;

/** Backward products on the Vector API. */
final class VectorBackMatMul implements BackMatMul {
  /*
   * Idea. dx = dy W needs the columns of a matrix that is stored by rows. Instead of sums across lanes, as the forward
   * product has them, a row of W is scaled by each token's dy and added to that token's dx (OuterKernels): W is read in
   * the order in which it is stored, and nothing is transposed.
   *
   * Layout. A shard's slice of the columns is taken 128 columns at a time, W in tiles of 128 rows, widened to float32
   * in scratch memory (WeightTile: evens before odds, so all types have one inner loop), tokens in chunks of 128 whose
   * sums stay in scratch memory: 72 KiB of weights and as much of sums, in the second-level cache; of the weights 16
   * KiB are used for all tokens of the chunk before the next. Rows lie an odd number of cache lines apart, so that they
   * do not fall on one another in the cache. Sums are joined to natural order once at the end.
   *
   * Invariance. A sum is one chain of FMAs, term after term and row after row, however tiles and chunks are cut.
   *
   * Cost, foreseen with 512-bit vectors: for 32 weights and 64 tokens 64 cycles of FMAs, 3 to widen them and 2 to load
   * and store sums, so 90 % of what OuterKernels do alone, whatever the type, and reading overlaps in part; the forward
   * product widens BF16 anew for every four tokens, and sums across lanes. Measured on one thread of a busy Zen 5, by
   * processor time, all layers of the 135 M shape, where OuterKernels alone reach 200 to 212 GFLOP/s: BF16 124 GFLOP/s
   * at 64 tokens and 173 at 512 (0.88 and 1.13 times the forward product), F16 133 and 148 (1.22 and 1.24), F32 91 at
   * 64 (1.17), which reads four bytes a weight.
   */
  @Override
  public void multiply(List<Term> terms, Rows dx, int tokens, BackScratch scratch, Shard shard) {
    BackMatMul.check(terms, dx, tokens);
    long memory = scratch.of(shard).address();
    int units = (dx.columns() + UNIT - 1) / UNIT;
    int first = shard.first(units) * UNIT;
    int end = Math.min(dx.columns(), shard.end(units) * UNIT);
    for (int column = first; column < end; column += COLUMNS) {
      int columns = Math.min(COLUMNS, end - column);
      for (int token = 0; token < tokens; token += TOKENS) {
        int count = Math.min(TOKENS, tokens - token);
        sum(terms, column, columns, token, count, memory);
        if (!shard.beginStore()) {
          return;
        }
        for (int t = 0; t < count; t++) {
          long to = dx.segment().address() + (token + t) * dx.stride() + column * 4L;
          join(memory + SUMS + t * STEP, columns, to);
        }
        shard.endStore();
      }
    }
  }

  /** Sums a tile of dx: so many columns of so many tokens. */
  private static void sum(
      List<Term> terms, int column, int columns, int token, int count, long memory) {
    int blocks = Lanes.blocks(columns);
    for (int t = 0; t < count; t++) {
      Lanes.zeroBlocks(memory + SUMS + t * STEP, blocks);
    }
    for (int j = 0; j < terms.size(); j++) {
      WeightMatrix weights = terms.get(j).weights();
      Rows dy = terms.get(j).dy();
      long gradients = dy.segment().address() + token * dy.stride();
      for (int row = 0; row < weights.rows(); row += DEPTH) {
        int depth = Math.min(DEPTH, weights.rows() - row);
        WeightTile.widenPart(weights, row, depth, column, columns, memory, STEP);
        for (int b = 0; b < blocks; b++) {
          OuterKernels.add(
              count,
              gradients + row * 4L,
              dy.stride(),
              Float.BYTES,
              memory + b * BLOCK_BYTES,
              STEP,
              memory + SUMS + b * BLOCK_BYTES,
              STEP,
              depth);
        }
      }
    }
  }

  /** Joins evens and odds, and stores {@code count} elements. */
  private static void join(long sums, int count, long to) {
    long from = sums & ADDRESS;
    long target = to & ADDRESS;
    int blocks = count / BLOCK;
    for (int b = 0; b < blocks; b++) {
      FloatVector even = FloatVector.fromMemorySegment(F, ALL, from + b * BLOCK_BYTES, LE);
      FloatVector odd = FloatVector.fromMemorySegment(F, ALL, from + b * BLOCK_BYTES + BYTES, LE);
      even.rearrange(JOIN_LOW, odd).intoMemorySegment(ALL, target + b * BLOCK_BYTES, LE);
      even.rearrange(JOIN_HIGH, odd).intoMemorySegment(ALL, target + b * BLOCK_BYTES + BYTES, LE);
    }
    for (int i = blocks * BLOCK; i < count; i++) {
      float value =
          NativeMemory.get(from + blocks * BLOCK_BYTES + WeightTile.place(i - blocks * BLOCK));
      NativeMemory.set(target + i * 4L, value);
    }
  }
}
