package dev.lorikeet.jlama.lora;

import static dev.lorikeet.jlama.kernel.Lanes.BLOCK;
import static dev.lorikeet.jlama.kernel.Lanes.BYTES;
import static dev.lorikeet.jlama.kernel.Lanes.L;

import dev.lorikeet.adapter.LoraFactor;
import dev.lorikeet.adapter.LoraWeights;
import dev.lorikeet.executor.MergePlan;
import dev.lorikeet.executor.Workers;
import dev.lorikeet.jlama.kernel.Lanes;
import dev.lorikeet.jlama.kernel.NativeMemory;
import dev.lorikeet.tensor.ElementType;
import dev.lorikeet.tensor.Tensor;
import java.lang.foreign.Arena;
import java.util.Optional;

/**
 * Switches merged states: all rows of all targets are split over the workers in one run. A target
 * that no adapter of the mixture changes is copied.
 */
final class Merging {
  /** What one weight costs to copy, in multiply-adds. */
  private static final double COPY_COST = 8;

  private static final int TILE_FLOATS = MergeKernel.ROWS * MergeKernel.CHUNK * BLOCK;

  private static final int SCRATCH_FLOATS = (MergeKernel.CHUNK + 1) * BLOCK;

  private final Workers workers;
  private final Arena arena;
  private final long[] scratch;
  private long capacity;

  Merging(Workers workers, Arena arena) {
    this.workers = workers;
    this.arena = arena;
    scratch = new long[workers.parallelism()];
  }

  /** Returns whether some memory of a plan is on the heap, where kernels can't reach. */
  static boolean touchesHeap(MergePlan plan) {
    for (MergePlan.Target target : plan.targets()) {
      if (!target.pristine().segment().isNative() || !target.merged().segment().isNative()) {
        return true;
      }
      for (MergePlan.Share share : plan.mixture()) {
        Optional<LoraWeights> weights = share.adapter().weights(target.module());
        if (weights.isPresent()
            && (!weights.get().a().memory().isNative() || !weights.get().b().memory().isNative())) {
          return true;
        }
      }
    }
    return false;
  }

  /** Computes a checked plan over native memory. */
  void merge(MergePlan plan) {
    double total = 0;
    long widest = 0;
    for (MergePlan.Target target : plan.targets()) {
      int ranks = ranks(plan, target);
      total += cost(target, ranks);
      long padded =
          (long) Lanes.blocks(Math.toIntExact(target.pristine().columns()))
              + Lanes.blocks(Math.toIntExact(target.pristine().rows()));
      widest = Math.max(widest, ranks * padded * BLOCK);
    }
    reserve(SCRATCH_FLOATS + TILE_FLOATS + widest);
    double all = total;
    workers.run((shard, shards) -> mergeShare(plan, all, shard, shards));
  }

  private void reserve(long floats) {
    if (floats > capacity) {
      capacity = 2 * floats;
      for (int shard = 0; shard < scratch.length; shard++) {
        scratch[shard] = arena.allocate(4 * capacity, 64).address();
      }
    }
  }

  private void mergeShare(MergePlan plan, double total, int shard, int shards) {
    double from = total * shard / shards;
    double to = shard + 1 == shards ? Double.MAX_VALUE : total * (shard + 1) / shards;
    double before = 0;
    for (MergePlan.Target target : plan.targets()) {
      int ranks = ranks(plan, target);
      double cost = cost(target, ranks);
      long first = boundary(from, before, cost, target.pristine().rows());
      long last = boundary(to, before, cost, target.pristine().rows());
      before += cost;
      if (first >= last) {
        continue;
      }
      if (ranks == 0) {
        copy(target, first, last);
      } else {
        mergeRows(plan, target, ranks, first, last, scratch[shard]);
      }
    }
  }

  private static int ranks(MergePlan plan, MergePlan.Target target) {
    int ranks = 0;
    for (MergePlan.Share share : plan.mixture()) {
      Optional<LoraWeights> weights = share.adapter().weights(target.module());
      ranks += weights.isPresent() ? weights.get().rank() : 0;
    }
    return ranks;
  }

  private static double cost(MergePlan.Target target, int ranks) {
    return (double) target.pristine().rows() * target.pristine().columns() * (COPY_COST + ranks);
  }

  private static long boundary(double at, double before, double cost, long rows) {
    if (at <= before) {
      return 0;
    }
    if (at >= before + cost) {
      return rows;
    }
    long tiles = Math.round((at - before) / cost * rows / MergeKernel.ROWS);
    return Math.min(rows, tiles * MergeKernel.ROWS);
  }

  private static void copy(MergePlan.Target target, long first, long last) {
    Tensor pristine = target.pristine();
    Tensor merged = target.merged();
    long rowBytes = pristine.columns() * pristine.type().bytes();
    long from = pristine.segment().address() + first * pristine.rowStrideBytes();
    long to = merged.segment().address() + first * merged.rowStrideBytes();
    if (pristine.rowStrideBytes() == rowBytes && merged.rowStrideBytes() == rowBytes) {
      NativeMemory.copy(from, to, (last - first) * rowBytes);
      return;
    }
    for (long o = first; o < last; o++) {
      NativeMemory.copy(from, to, rowBytes);
      from += pristine.rowStrideBytes();
      to += merged.rowStrideBytes();
    }
  }

  private static void mergeRows(
      MergePlan plan, MergePlan.Target target, int ranks, long first, long last, long scratch) {
    Tensor pristine = target.pristine();
    Tensor merged = target.merged();
    ElementType type = pristine.type();
    int columns = Math.toIntExact(pristine.columns());
    int blocks = Lanes.blocks(columns);
    long tail = scratch;
    long delta = tail + 4L * SCRATCH_FLOATS;
    long coefficients = delta + 4L * TILE_FLOATS;
    long step = Lanes.blocks((int) (last - first)) * 2L * BYTES;
    long packed = coefficients + step * ranks;
    packFactors(plan, target, ranks, packed, tail);
    packCoefficients(plan, target, (int) first, (int) last, coefficients, tail);
    for (long o = first; o < last; o += MergeKernel.ROWS) {
      int rows = (int) Math.min(MergeKernel.ROWS, last - o);
      long c = coefficients + 4 * (o - first);
      for (int block = 0; block < blocks; block += MergeKernel.CHUNK) {
        int count = Math.min(MergeKernel.CHUNK, blocks - block);
        MergeKernel.delta(packed + (long) block * ranks * 2 * BYTES, ranks, c, step, count, delta);
        int column = block * BLOCK;
        for (int k = 0; k < rows; k++) {
          MergeKernel.add(
              type,
              address(pristine, o + k, column),
              delta + k * (2L * BYTES * MergeKernel.CHUNK),
              address(merged, o + k, column),
              Math.min(columns - column, count * BLOCK),
              tail);
        }
      }
    }
  }

  private static long address(Tensor tensor, long row, long column) {
    return tensor.segment().address() + (row * tensor.rowStride() + column) * tensor.type().bytes();
  }

  /** Packs all rows of A of all adapters as {@code [block of columns][row of A][2 L floats]}. */
  private static void packFactors(
      MergePlan plan, MergePlan.Target target, int ranks, long packed, long tail) {
    boolean split = target.pristine().type() != ElementType.F32;
    long step = ranks * 2L * BYTES;
    long to = packed;
    for (MergePlan.Share share : plan.mixture()) {
      Optional<LoraWeights> weights = share.adapter().weights(target.module());
      if (weights.isEmpty()) {
        continue;
      }
      LoraFactor a = weights.get().a();
      for (int r = 0; r < a.rank(); r++) {
        if (a.blocks() == 1) {
          long row = a.memory().address() + a.rowOffset(r);
          RowPacking.pack(a.type(), row, a.width(), to, step, split, tail);
        } else {
          packDiagonal(a, r, to, step, split);
        }
        to += 2L * BYTES;
      }
    }
  }

  private static void packDiagonal(LoraFactor a, int r, long to, long step, boolean split) {
    for (int block = 0; block < Lanes.blocks(a.width()); block++) {
      Lanes.zeroBlocks(to + block * step, 1);
    }
    for (int j = 0; j < a.rowLength(); j++) {
      int feature = a.rowStart(r) + j;
      int i = feature % BLOCK;
      int lane = split ? i / 2 + i % 2 * L : i;
      long offset = a.rowOffset(r) + (long) j * a.type().bytes();
      NativeMemory.set(to + feature / BLOCK * step + 4L * lane, a.type().read(a.memory(), offset));
    }
  }

  /** Packs weight * scaling * B for the outputs {@code [first, last)} as {@code [ranks, rows]}. */
  private static void packCoefficients(
      MergePlan plan, MergePlan.Target target, int first, int last, long to, long tail) {
    int blocks = Lanes.blocks(last - first);
    long next = to;
    for (MergePlan.Share share : plan.mixture()) {
      Optional<LoraWeights> weights = share.adapter().weights(target.module());
      if (weights.isEmpty()) {
        continue;
      }
      LoraFactor b = weights.get().b();
      float scale = share.weight() * weights.get().scaling();
      for (int r = 0; r < b.rank(); r++) {
        int begin = Math.max(first, b.rowStart(r));
        int end = Math.min(last, b.rowStart(r) + b.rowLength());
        long offset = b.rowOffset(r) + (long) (begin - b.rowStart(r)) * b.type().bytes();
        if (b.blocks() == 1) {
          long row = b.memory().address() + offset;
          RowPacking.pack(b.type(), row, last - first, next, 2L * BYTES, false, tail);
        } else {
          Lanes.zeroBlocks(next, blocks);
          for (int o = begin; o < end; o++) {
            float element =
                b.type().read(b.memory(), offset + (long) (o - begin) * b.type().bytes());
            NativeMemory.set(next + 4L * (o - first), element);
          }
        }
        MergeKernel.scale(next, blocks, scale);
        next += blocks * 2L * BYTES;
      }
    }
  }
}
