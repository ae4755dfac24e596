package dev.lorikeet.jlama.lora;

import static dev.lorikeet.jlama.kernel.Lanes.BLOCK;
import static dev.lorikeet.jlama.kernel.Lanes.BYTES;

import dev.lorikeet.adapter.LoraFactor;
import dev.lorikeet.adapter.LoraWeights;
import dev.lorikeet.executor.LoraBatch;
import dev.lorikeet.jlama.kernel.Lanes;
import dev.lorikeet.jlama.kernel.NativeMemory;
import dev.lorikeet.tensor.ElementType;
import dev.lorikeet.tensor.Tensor;
import java.lang.foreign.Arena;

/**
 * Gradients of dense factors through P = dy^T x: one shard's part. P is summed over the entries,
 * each by its weight, column range by column range; then dA += B^T P, and when all of P is there dB
 * += P A^T.
 */
final class ProductGradients {
  private static final int TILE = OuterKernel.TOKENS;

  private final Scratch scratch;
  private final ShrinkKernel shrinkKernel;
  private final OuterKernel outerKernel;
  private final long[] rows = new long[TILE];
  private final long[] columns = new long[TILE];
  private long scaled;
  private long scaledFloats;

  ProductGradients(Scratch scratch, ShrinkKernel shrinkKernel, OuterKernel outerKernel) {
    this.scratch = scratch;
    this.shrinkKernel = shrinkKernel;
    this.outerKernel = outerKernel;
  }

  /** Makes room for a tile of outputs or of rows of B, whichever is wider. */
  void reserve(GradientPlan plan, Arena arena) {
    long floats = 0;
    for (int u = 0; u < plan.units(); u++) {
      if (plan.throughProduct(u)) {
        LoraWeights weights = plan.unit(u).weights();
        int tile = Math.max(TILE, Scratch.MAX_TOKENS);
        floats = Math.max(floats, (long) tile * Math.max(weights.rank(), weights.b().width()));
      }
    }
    if (scaledFloats < floats) {
      scaledFloats = 2 * floats;
      scaled = arena.allocate(4 * scaledFloats, 64).address();
    }
  }

  /** Sums some columns of P, and adds what follows from them to the same columns of dA. */
  void addColumns(GradientPlan plan, int u, int from, int to) {
    if (from == to) {
      return;
    }
    int out = plan.unit(u).weights().b().width();
    long product = plan.product(u) + 4L * from;
    long stride = plan.productStride(u);
    for (int o = 0; o < out; o++) {
      for (int j = 0; j < to - from; j++) {
        NativeMemory.set(product + o * stride + 4L * j, 0);
      }
    }
    LoraBatch batch = plan.batch();
    int segment = plan.unit(u).segment();
    int end = batch.segmentEnd(segment);
    for (int e = batch.segmentStart(segment); e < end; e += TILE) {
      int count = Math.min(TILE, end - e);
      for (int t = 0; t < count; t++) {
        rows[t] = scaled + 4L * t * out;
        scale(plan, u, e + t, rows[t]);
        columns[t] = plan.x().segment().address() + batch.token(e + t) * plan.x().rowStrideBytes();
      }
      outerKernel.add(rows, 0, out, columns, 4L * from, to - from, false, count, product, stride);
    }
    plan.unit(u).sums().ifPresent(sums -> addA(plan, u, sums.a(), from, to));
  }

  /** Writes an entry's dy times its weight and scaling. */
  private static void scale(GradientPlan plan, int u, int entry, long to) {
    Tensor dy = plan.dy(u);
    float factor = plan.batch().weight(entry) * plan.unit(u).weights().scaling();
    long row = dy.segment().address() + plan.batch().token(entry) * dy.rowStrideBytes();
    for (int o = 0; o < dy.columns(); o++) {
      NativeMemory.set(to + 4L * o, factor * NativeMemory.get(row + 4L * o));
    }
  }

  private void addA(GradientPlan plan, int u, Tensor gradient, int from, int to) {
    LoraFactor b = plan.unit(u).weights().b();
    int rank = b.rank();
    for (int o = 0; o < b.width(); o += TILE) {
      int count = Math.min(TILE, b.width() - o);
      for (int t = 0; t < count; t++) {
        rows[t] = scaled + 4L * t * rank;
        columns[t] = plan.product(u) + (o + t) * plan.productStride(u);
        for (int r = 0; r < rank; r++) {
          long at = b.memory().address() + b.rowOffset(r) + (long) (o + t) * b.type().bytes();
          NativeMemory.set(rows[t] + 4L * r, b.type().read(NativeMemory.ALL, at));
        }
      }
      outerKernel.add(
          rows,
          0,
          rank,
          columns,
          4L * from,
          to - from,
          true,
          count,
          gradient.segment().address() + 4L * from,
          gradient.rowStrideBytes());
    }
  }

  /** Adds to some rows of dB. */
  void addRows(GradientPlan plan, int u, int from, int to) {
    LoraFactor a = plan.unit(u).weights().a();
    int tile = scratch.tokensPerTile(plan.widest());
    int length = a.rowLength();
    for (int o = from; o < to; o += tile) {
      int count = Math.min(tile, to - o);
      scratch.packedStride = Lanes.blocks(length) * 4L * BLOCK;
      for (int t = 0; t < count; t++) {
        RowPacking.pack(
            ElementType.F32,
            plan.product(u) + (o + t) * plan.productStride(u),
            length,
            scratch.packed + t * scratch.packedStride,
            2L * BYTES,
            a.type() != ElementType.F32,
            scratch.tail);
        NativeMemory.set(scratch.scales + 4L * t, 1);
      }
      shrinkKernel.shrink(a, 0, a.rank(), count, scratch.scales, scaled, 4L * a.rank());
      int first = o;
      plan.unit(u).sums().ifPresent(sums -> addB(sums.b(), first, count, a.rank()));
    }
  }

  private void addB(Tensor gradient, int first, int count, int rank) {
    for (int t = 0; t < count; t++) {
      long row = gradient.segment().address() + (first + t) * gradient.rowStrideBytes();
      long sums = scaled + 4L * t * rank;
      for (int r = 0; r < rank; r++) {
        NativeMemory.set(
            row + 4L * r, NativeMemory.get(row + 4L * r) + NativeMemory.get(sums + 4L * r));
      }
    }
  }
}
