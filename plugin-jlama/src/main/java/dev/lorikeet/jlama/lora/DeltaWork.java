package dev.lorikeet.jlama.lora;

import static dev.lorikeet.jlama.kernel.Lanes.BLOCK;

import dev.lorikeet.adapter.LoraFactor;
import dev.lorikeet.adapter.LoraWeights;
import dev.lorikeet.executor.LoraBatch;
import dev.lorikeet.jlama.kernel.NativeMemory;
import dev.lorikeet.tensor.ElementType;
import dev.lorikeet.tensor.Tensor;
import java.lang.foreign.Arena;
import java.util.List;

/** One shard's part of {@code addDelta}. */
final class DeltaWork {
  private static final int TOKENS = 4;

  private final DeltaCall call;
  private final Scratch scratch;
  private final ShrinkKernel shrinkKernel;
  private final ExpandKernel expandKernel;
  private boolean packedSplit;
  private int packedBlocks;

  DeltaWork(DeltaCall call, Arena arena) {
    this.call = call;
    scratch = new Scratch(arena);
    shrinkKernel = new ShrinkKernel(scratch);
    expandKernel = new ExpandKernel(scratch);
  }

  /** Makes room for a call; called before the shards run. */
  void reserve() {
    scratch.reserve(call.widestInput());
  }

  /** Computes the entries {@code [from, to)} for all targets. */
  void entries(LoraBatch batch, Tensor x, List<Tensor> y, long shrunk, int from, int to) {
    for (int s = 0; s < batch.segments(); s++) {
      int start = Math.max(from, batch.segmentStart(s));
      int end = Math.min(to, batch.segmentEnd(s));
      int tile = scratch.tokensPerTile(call.widestInput());
      for (int e = start; e < end; e += tile) {
        int count = Math.min(tile, end - e);
        packedBlocks = 0;
        for (int unit = call.firstUnit(s); unit < call.firstUnit(s + 1); unit++) {
          shrink(batch, x, shrunk, unit, e, count, 0, call.weights(unit).rank());
          int out = call.weights(unit).b().width();
          expand(batch, y, shrunk, unit, e, e + count, 0, out);
        }
      }
    }
  }

  /** Shrinks all entries for this shard's share of the rows of A. */
  void rows(LoraBatch batch, Tensor x, long shrunk, int shard, int shards) {
    double total = 0;
    for (int unit = 0; unit < call.units(); unit++) {
      total += call.cost(unit, batch);
    }
    double from = total * shard / shards;
    double to = shard + 1 == shards ? Double.MAX_VALUE : total * (shard + 1) / shards;
    double before = 0;
    int segment = -1;
    for (int unit = 0; unit < call.units(); unit++) {
      double cost = call.cost(unit, batch);
      int rank = call.weights(unit).rank();
      int first = boundary(from, before, cost, rank, TOKENS);
      int last = boundary(to, before, cost, rank, TOKENS);
      before += cost;
      if (first >= last) {
        continue;
      }
      int tile = scratch.tokensPerTile(call.widestInput());
      int s = call.segment(unit);
      int start = batch.segmentStart(s);
      int end = batch.segmentEnd(s);
      if (s != segment || end - start > tile) {
        packedBlocks = 0;
        segment = s;
      }
      for (int e = start; e < end; e += tile) {
        if (e > start) {
          packedBlocks = 0;
        }
        shrink(batch, x, shrunk, unit, e, Math.min(tile, end - e), first, last);
      }
    }
  }

  /**
   * Expands all entries for this shard's share of every target's outputs: the columns that the same
   * shard wrote when it multiplied, so that y need not move from one core to another.
   */
  void outputs(LoraBatch batch, List<Tensor> y, long shrunk, int shard, int shards) {
    for (int unit = 0; unit < call.units(); unit++) {
      int out = call.weights(unit).b().width();
      int first = firstOutput(shard, shards, out);
      int last = firstOutput(shard + 1, shards, out);
      int s = call.segment(unit);
      expand(batch, y, shrunk, unit, batch.segmentStart(s), batch.segmentEnd(s), first, last);
    }
  }

  /** Returns the first output of a shard, whole blocks. */
  private static int firstOutput(int shard, int shards, int out) {
    long blocks = Math.round((double) out * shard / shards / BLOCK);
    return shard == shards ? out : (int) Math.min(out, blocks * BLOCK);
  }

  /**
   * Returns which of {@code count} items a point of the cost line falls on, to a multiple of {@code
   * step}; the same for the shard that ends there and the one that begins.
   */
  private static int boundary(double at, double before, double cost, int count, int step) {
    if (at <= before) {
      return 0;
    }
    if (at >= before + cost) {
      return count;
    }
    return (int) Math.min(count, Math.round((at - before) / cost * count / step) * step);
  }

  private void shrink(
      LoraBatch batch, Tensor x, long shrunk, int unit, int e, int count, int from, int to) {
    LoraWeights weights = call.weights(unit);
    LoraFactor a = weights.a();
    pack(batch, x, a, e, count);
    for (int t = 0; t < count; t++) {
      NativeMemory.set(scratch.scales + 4L * t, batch.weight(e + t) * weights.scaling());
    }
    long stride = 4L * weights.rank();
    long values = shrunkAddress(batch, shrunk, unit, e);
    shrinkKernel.shrink(a, from, to, count, scratch.scales, values, stride);
  }

  private void pack(LoraBatch batch, Tensor x, LoraFactor a, int e, int count) {
    boolean split = a.type() != ElementType.F32;
    if (packedBlocks == a.blocks() && packedSplit == split) {
      return;
    }
    packedBlocks = a.blocks();
    packedSplit = split;
    scratch.pack(batch, x, a, e, count);
  }

  private void expand(
      LoraBatch batch,
      List<Tensor> y,
      long shrunk,
      int unit,
      int entryFrom,
      int entryTo,
      int from,
      int to) {
    LoraWeights weights = call.weights(unit);
    Tensor output = y.get(call.target(unit));
    long stride = 4L * weights.rank();
    for (int e = entryFrom; e < entryTo; e += TOKENS) {
      int count = Math.min(TOKENS, entryTo - e);
      for (int t = 0; t < count; t++) {
        scratch.outputAddress(
            t, output.segment().address() + batch.token(e + t) * output.rowStrideBytes());
      }
      long values = shrunkAddress(batch, shrunk, unit, e);
      expandKernel.expand(weights.b(), from, to, count, values, stride);
    }
  }

  private long shrunkAddress(LoraBatch batch, long shrunk, int unit, int e) {
    int entry = e - batch.segmentStart(call.segment(unit));
    return shrunk + 4 * (call.shrunk(unit) + (long) entry * call.weights(unit).rank());
  }
}
