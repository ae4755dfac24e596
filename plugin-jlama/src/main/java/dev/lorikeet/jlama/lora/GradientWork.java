package dev.lorikeet.jlama.lora;

import static dev.lorikeet.jlama.kernel.Lanes.BLOCK;

import dev.lorikeet.adapter.LoraFactor;
import dev.lorikeet.adapter.LoraWeights;
import dev.lorikeet.executor.LoraBatch;
import dev.lorikeet.jlama.kernel.NativeMemory;
import dev.lorikeet.tensor.ElementType;
import dev.lorikeet.tensor.Tensor;
import java.lang.foreign.Arena;

/** One shard's part of {@code addGradients}. */
final class GradientWork {
  private static final int TOKENS = 4;
  private static final int MAX_RUN = 8;

  private final Arena arena;
  private final Scratch scratch;
  private final ShrinkKernel shrinkKernel;
  private final ExpandKernel expandKernel;
  private final OuterKernel outerKernel;
  private final ProductGradients products;
  private final long[] inputs = new long[OuterKernel.TOKENS];
  private final long[] outputs = new long[OuterKernel.TOKENS];
  private final long[] shrunkInputs = new long[OuterKernel.TOKENS];
  private final long[] shrunkOutputs = new long[OuterKernel.TOKENS];

  GradientWork(Arena arena) {
    this.arena = arena;
    scratch = new Scratch(arena);
    shrinkKernel = new ShrinkKernel(scratch);
    expandKernel = new ExpandKernel(scratch);
    outerKernel = new OuterKernel(arena);
    products = new ProductGradients(scratch, shrinkKernel, outerKernel);
  }

  /** Makes room for a call; called before the shards run. */
  void reserve(GradientPlan plan) {
    scratch.reserve(plan.widest());
    products.reserve(plan, arena);
  }

  /** Shrinks dy by B and x by A for the entries {@code [from, to)}, and adds to their dw. */
  void shrink(GradientPlan plan, int from, int to) {
    LoraBatch batch = plan.batch();
    int tile = scratch.tokensPerTile(plan.widest());
    int first = 0;
    while (first < plan.units()) {
      int segment = plan.unit(first).segment();
      int end = first + 1;
      while (end < plan.units() && plan.unit(end).segment() == segment) {
        end++;
      }
      int last = Math.min(to, batch.segmentEnd(segment));
      for (int e = Math.max(from, batch.segmentStart(segment)); e < last; e += tile) {
        shrinkTile(plan, first, end, e, Math.min(tile, last - e));
      }
      first = end;
    }
  }

  private void shrinkTile(GradientPlan plan, int first, int end, int e, int count) {
    boolean weights = plan.weights().isPresent();
    for (int u = first; u < end; u++) {
      if (plan.needsOutputs(u)) {
        LoraWeights w = plan.unit(u).weights();
        scratch.pack(plan.batch(), plan.dy(u), w.b(), e, count);
        shrink(plan, w, w.b(), e, count, weights, plan.outputs(u, e), plan.stride(u));
      }
    }
    int packedBlocks = 0;
    boolean packedSplit = false;
    for (int u = first; u < end; u++) {
      if (plan.needsInputs(u)) {
        LoraWeights w = plan.unit(u).weights();
        boolean split = w.a().type() != ElementType.F32;
        if (packedBlocks != w.a().blocks() || packedSplit != split) {
          scratch.pack(plan.batch(), plan.x(), w.a(), e, count);
          packedBlocks = w.a().blocks();
          packedSplit = split;
        }
        shrink(plan, w, w.a(), e, count, weights, plan.inputs(u, e), plan.stride(u));
      }
    }
    if (weights) {
      addWeightGradients(plan, plan.weights().get(), first, end, e, count);
    }
  }

  /** Shrinks rows that are packed; scales them by weight and scaling unless dw needs them bare. */
  private void shrink(
      GradientPlan plan,
      LoraWeights weights,
      LoraFactor factor,
      int e,
      int count,
      boolean bare,
      long to,
      long stride) {
    for (int t = 0; t < count; t++) {
      float scale = bare ? 1 : plan.batch().weight(e + t) * weights.scaling();
      NativeMemory.set(scratch.scales + 4L * t, scale);
    }
    shrinkKernel.shrink(factor, 0, factor.rank(), count, scratch.scales, to, stride);
  }

  /** Adds to the dw of a tile's entries, and scales what was shrunk bare for it. */
  private static void addWeightGradients(
      GradientPlan plan, Tensor dw, int first, int end, int e, int count) {
    for (int t = 0; t < count; t++) {
      double sum = 0;
      for (int u = first; u < end; u++) {
        LoraWeights w = plan.unit(u).weights();
        long g = plan.outputs(u, e + t);
        long h = plan.inputs(u, e + t);
        float scale = plan.batch().weight(e + t) * w.scaling();
        double product = 0;
        for (int r = 0; r < w.rank(); r++) {
          float output = NativeMemory.get(g + 4L * r);
          float input = NativeMemory.get(h + 4L * r);
          product += (double) output * input;
          NativeMemory.set(g + 4L * r, scale * output);
          NativeMemory.set(h + 4L * r, scale * input);
        }
        sum += w.scaling() * product;
      }
      long at = dw.segment().address() + (e + t) * dw.rowStrideBytes();
      NativeMemory.set(at, (float) (NativeMemory.get(at) + sum));
    }
  }

  /** Adds to dx and the gradients of the factors, for this shard's columns of each. */
  void expand(GradientPlan plan, int shard, int shards) {
    for (int u = 0; u < plan.units(); u++) {
      LoraWeights weights = plan.unit(u).weights();
      int in = weights.a().width();
      int from = share(shard, shards, in, BLOCK);
      int to = share(shard + 1, shards, in, BLOCK);
      if (plan.throughProduct(u)) {
        products.addColumns(plan, u, from, to);
      } else if (plan.unit(u).learns()) {
        int out = weights.b().width();
        int outFrom = share(shard, shards, out, MAX_RUN);
        int outTo = share(shard + 1, shards, out, MAX_RUN);
        addFactors(plan, u, from, to, outFrom, outTo);
      }
      if (plan.dx().isPresent()) {
        addInputs(plan, u, plan.dx().get(), from, to);
      }
    }
  }

  /** Adds to the gradients of B that wait for dy^T x, for this shard's rows of each. */
  void finishProducts(GradientPlan plan, int shard, int shards) {
    for (int u = 0; u < plan.units(); u++) {
      if (plan.throughProduct(u)) {
        int out = plan.unit(u).weights().b().width();
        int from = share(shard, shards, out, MAX_RUN);
        products.addRows(plan, u, from, share(shard + 1, shards, out, MAX_RUN));
      }
    }
  }

  /** Returns where a shard's share of {@code count} begins, a multiple of {@code step}. */
  static int share(int shard, int shards, int count, int step) {
    long steps = Math.round((double) count * shard / shards / step);
    return shard == shards ? count : (int) Math.min(count, steps * step);
  }

  private void addInputs(GradientPlan plan, int u, Tensor dx, int from, int to) {
    LoraBatch batch = plan.batch();
    int segment = plan.unit(u).segment();
    int end = batch.segmentEnd(segment);
    for (int e = batch.segmentStart(segment); e < end; e += TOKENS) {
      int count = Math.min(TOKENS, end - e);
      for (int t = 0; t < count; t++) {
        scratch.outputAddress(t, dx.segment().address() + batch.token(e + t) * dx.rowStrideBytes());
      }
      LoraFactor a = plan.unit(u).weights().a();
      expandKernel.expand(a, from, to, count, plan.outputs(u, e), plan.stride(u));
    }
  }

  private void addFactors(GradientPlan plan, int u, int from, int to, int outFrom, int outTo) {
    LoraBatch batch = plan.batch();
    Tensor x = plan.x();
    Tensor dy = plan.dy(u);
    int segment = plan.unit(u).segment();
    int end = batch.segmentEnd(segment);
    for (int e = batch.segmentStart(segment); e < end; e += OuterKernel.TOKENS) {
      int count = Math.min(OuterKernel.TOKENS, end - e);
      for (int t = 0; t < count; t++) {
        int token = batch.token(e + t);
        inputs[t] = x.segment().address() + token * x.rowStrideBytes();
        outputs[t] = dy.segment().address() + token * dy.rowStrideBytes();
        shrunkInputs[t] = plan.inputs(u, e + t);
        shrunkOutputs[t] = plan.outputs(u, e + t);
      }
      LoraWeights weights = plan.unit(u).weights();
      plan.unit(u)
          .sums()
          .ifPresent(
              sums -> {
                addA(weights.a(), sums.a(), count, from, to);
                addB(weights.b(), sums.b(), count, outFrom, outTo);
              });
    }
  }

  private void addA(LoraFactor a, Tensor gradient, int count, int from, int to) {
    int rows = a.rank() / a.blocks();
    int length = a.rowLength();
    for (int block = 0; block < a.blocks(); block++) {
      int first = Math.max(from, block * length);
      int last = Math.min(to, (block + 1) * length);
      if (first < last) {
        int row = block * rows;
        outerKernel.add(
            shrunkOutputs,
            4L * row,
            rows,
            inputs,
            4L * first,
            last - first,
            false,
            count,
            gradient.segment().address()
                + row * gradient.rowStrideBytes()
                + 4L * (first - block * length),
            gradient.rowStrideBytes());
      }
    }
  }

  private void addB(LoraFactor b, Tensor gradient, int count, int from, int to) {
    int ranks = b.rank() / b.blocks();
    int length = b.rowLength();
    for (int block = 0; block < b.blocks(); block++) {
      int first = Math.max(from, block * length);
      int last = Math.min(to, (block + 1) * length);
      if (first < last) {
        outerKernel.add(
            outputs,
            4L * first,
            last - first,
            shrunkInputs,
            4L * block * ranks,
            ranks,
            true,
            count,
            gradient.segment().address() + first * gradient.rowStrideBytes(),
            gradient.rowStrideBytes());
      }
    }
  }
}
