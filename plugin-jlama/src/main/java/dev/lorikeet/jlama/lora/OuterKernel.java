package dev.lorikeet.jlama.lora;

import static dev.lorikeet.jlama.kernel.Lanes.BYTES;
import static dev.lorikeet.jlama.kernel.Lanes.F;
import static dev.lorikeet.jlama.kernel.Lanes.L;
import static dev.lorikeet.jlama.kernel.Lanes.LE;
import static dev.lorikeet.jlama.kernel.NativeMemory.ADDRESS;
import static dev.lorikeet.jlama.kernel.NativeMemory.ALL;

import dev.lorikeet.jlama.kernel.NativeMemory;
import java.lang.foreign.Arena;
import jdk.incubator.vector.FloatVector;

/**
 * G[i][j] += sum over tokens t of p[t][i] q[t][j]: what the gradients of both factors are made of.
 */
final class OuterKernel {
  /*
   * A product of two tall, thin matrices over the tokens they share. A tile of 8 rows and two vectors of columns stays
   * in registers while the tokens of a tile stream past: per token two loads of q, eight broadcasts of p from memory
   * and sixteen fused multiply-adds, so that two loads and two multiply-adds a cycle are both kept busy. Machines with
   * sixteen registers take four rows. For A, p is the shrunken gradient and q the input; for B, which lies transposed,
   * p is the output's gradient and q the shrunken input, so that the lanes run over the rank and G is written as it
   * lies. Of four or eight columns, fewer than lanes, a vector holds those of several rows (NarrowLoops), at one
   * shuffle for each multiply-add; other ranks that do not fill their last vector leave lanes idle.
   *
   * Rows of p and q are found by tables of addresses, since tokens of one adapter may lie anywhere in the batch. A tile
   * is TOKENS tokens, counted from the first of the segment: every element is a chain of fused multiply-adds from 0
   * over the tokens of each tile in order, then added to G, tile by tile. That order depends on nothing but the
   * segment's own entries, whatever rows, columns or threads work beside it.
   */

  /**
   * Tokens per tile: 64 rows of 8 KiB, of which all begin in one set, still fit the second-level
   * cache.
   */
  static final int TOKENS = 64;

  private static final int ROWS = L >= 16 ? 8 : 4;

  private final long sums;
  private final long tail;
  private final long narrowSums;
  private final long[] tailRows = new long[TOKENS];

  OuterKernel(Arena arena) {
    sums = arena.allocate(8 * 2L * BYTES, 64).address();
    tail = arena.allocate(TOKENS * BYTES, 64).address();
    narrowSums = arena.allocate(4L * NarrowLoops.ROWS * L, 64).address();
    for (int t = 0; t < TOKENS; t++) {
      tailRows[t] = tail + t * BYTES;
    }
  }

  /**
   * Adds one tile's products.
   *
   * @param p address of each token's row of p
   * @param pAt bytes to the first element that is used
   * @param rows how many are
   * @param q address of each token's row of q
   * @param qAt bytes to the first element that is used
   * @param columns how many are
   * @param padded whether a vector may be read that begins within the columns and ends beyond
   * @param tokens how many tokens, at most {@link #TOKENS}
   * @param to address of the first element of G
   * @param stride bytes from one row of G to the next
   */
  void add(
      long[] p,
      long pAt,
      int rows,
      long[] q,
      long qAt,
      int columns,
      boolean padded,
      int tokens,
      long to,
      long stride) {
    int narrow = 0;
    if (padded && NarrowLoops.offers(columns)) {
      narrow = rows / NarrowLoops.ROWS * NarrowLoops.ROWS;
      addNarrow(p, pAt, narrow, q, qAt, columns, tokens, to, stride);
    }
    if (narrow < rows) {
      long rest = to + narrow * stride;
      addWide(p, pAt + 4L * narrow, rows - narrow, q, qAt, columns, padded, tokens, rest, stride);
    }
  }

  private void addNarrow(
      long[] p,
      long pAt,
      int rows,
      long[] q,
      long qAt,
      int columns,
      int tokens,
      long to,
      long stride) {
    NarrowLoops.repeat(columns, q, qAt, tokens, tail);
    for (int i = 0; i < rows; i += NarrowLoops.ROWS) {
      NarrowLoops.multiply(columns, p, pAt + 4L * i, tail, tokens, narrowSums);
      if (stride == 4L * columns) {
        addTo(to + i * stride, narrowSums, NarrowLoops.ROWS * columns);
      } else {
        for (int k = 0; k < NarrowLoops.ROWS; k++) {
          addTo(to + (i + k) * stride, narrowSums + 4L * k * columns, columns);
        }
      }
    }
  }

  private void addWide(
      long[] p,
      long pAt,
      int rows,
      long[] q,
      long qAt,
      int columns,
      boolean padded,
      int tokens,
      long to,
      long stride) {
    int j = 0;
    while (j < columns) {
      int left = columns - j;
      int vectors = left >= 2 * L ? 2 : 1;
      int lanes = Math.min(left, vectors * L);
      if (lanes < L && !padded) {
        for (int t = 0; t < tokens; t++) {
          NativeMemory.copy(q[t] + qAt + 4L * j, tailRows[t], 4L * lanes);
        }
        addColumns(p, pAt, rows, tailRows, 0, vectors, lanes, tokens, to + 4L * j, stride);
      } else {
        addColumns(p, pAt, rows, q, qAt + 4L * j, vectors, lanes, tokens, to + 4L * j, stride);
      }
      j += lanes;
    }
  }

  private void addColumns(
      long[] p,
      long pAt,
      int rows,
      long[] q,
      long qAt,
      int vectors,
      int lanes,
      int tokens,
      long to,
      long stride) {
    int i = 0;
    while (i < rows) {
      int left = rows - i;
      int together = left >= ROWS ? ROWS : left >= 4 ? 4 : 1;
      OuterLoops.multiply(together, vectors, p, pAt + 4L * i, q, qAt, tokens, sums);
      for (int k = 0; k < together; k++) {
        addTo(to + (i + k) * stride, sums + k * 2L * BYTES, lanes);
      }
      i += together;
    }
  }

  private static void addTo(long to, long from, int lanes) {
    int whole = lanes / L * L;
    for (int v = 0; v < whole; v += L) {
      long at = (to + 4L * v) & ADDRESS;
      FloatVector before = FloatVector.fromMemorySegment(F, ALL, at, LE);
      FloatVector sum = FloatVector.fromMemorySegment(F, ALL, (from + 4L * v) & ADDRESS, LE);
      before.add(sum).intoMemorySegment(ALL, at, LE);
    }
    for (int v = whole; v < lanes; v++) {
      NativeMemory.set(
          to + 4L * v, NativeMemory.get(to + 4L * v) + NativeMemory.get(from + 4L * v));
    }
  }
}
