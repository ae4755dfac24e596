package dev.lorikeet.jlama.lora;

import dev.lorikeet.executor.GradientSums;
import dev.lorikeet.executor.LoraBatch;
import dev.lorikeet.executor.LoraGradients;
import dev.lorikeet.executor.TargetGroup;
import dev.lorikeet.executor.Workers;
import dev.lorikeet.executor.Workers.ShardTask;
import dev.lorikeet.tensor.Tensor;
import java.lang.foreign.Arena;
import java.util.List;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/** The backward of {@link VectorLoraExecutor}, on the same threads and kernels. */
final class VectorLoraGradients implements LoraGradients {
  /*
   * With g = B^T dy and h = A x, both scaled, a module of rank r between n inputs and m outputs costs, in multiply-adds
   * per entry:
   *
   *   g = B^T dy      r m     ShrinkKernel
   *   h = A x         r n     ShrinkKernel; not where the adapter is frozen and no weight learns
   *   dx += A^T g     r n     ExpandKernel; not for the lowest layer
   *   dA += g x^T     r n     OuterKernel
   *   dB += dy h^T    r m     OuterKernel
   *
   * r (3 n + 2 m) in all, where the forward takes r (n + m). The other orders of Run LoRA Run (arXiv 2312.03415) go
   * through dy^T x: n m per entry, then B^T (dy^T x) and (dy^T x) A^T, 2 r n m per adapter, instead of r (2 n + m) per
   * entry for h, dA and dB. GradientOrder counts and takes the cheaper; the second wins only where the rank comes near
   * the width (m = n: r > n / 3 with many entries). h is computed again, as the layer is: keeping it from the forward
   * would spare a fifth of the multiply-adds for r floats per entry and module.
   *
   * Two runs of the workers. The first shrinks, split by entries; the second adds, split by the columns of x and the
   * rows of dB, so that no two threads write one element, and every sum runs over the adapter's entries in their order
   * whoever computes it. An entry's dw is a product of g and h and belongs to the first. Where dy^T x is needed, a
   * third run multiplies it by A, when all its columns are there.
   */
  private static final double NANOS_PER_MULTIPLY = 0.05;
  private static final double RUN_NANOS = 1200;

  private final Workers workers;
  private final Arena arena;
  private final Runnable checkOpen;
  private final GradientCall call = new GradientCall();
  private final GradientWork[] works;
  private final ShardTask shrinkTask = this::runShrink;
  private final ShardTask expandTask = this::runExpand;
  private final ShardTask productTask = this::runProducts;
  private final Optional<GradientOrder> forced;
  private @Nullable GradientPlan plan;
  private long shrunk;
  private long shrunkFloats;

  /**
   * @param arena where scratch lives; closed by the executor
   * @param forced the order of the products, if it is not to be the cheapest
   * @param checkOpen throws if the executor is closed
   */
  VectorLoraGradients(
      Workers workers, Arena arena, Optional<GradientOrder> forced, Runnable checkOpen) {
    this.workers = workers;
    this.forced = forced;
    this.arena = arena;
    this.checkOpen = checkOpen;
    works = new GradientWork[workers.parallelism()];
  }

  @Override
  public void addGradients(
      TargetGroup targets, LoraBatch batch, Tensor x, List<Tensor> dy, GradientSums sums) {
    checkOpen.run();
    try {
      call.prepare(targets, batch, x, dy, sums);
      if (call.units().isEmpty()) {
        return;
      }
      try (NativeCopies copies = new NativeCopies()) {
        run(
            new GradientPlan(
                batch,
                copies.units(call.units()),
                copies.read(x),
                copies.read(dy),
                copies.written(sums),
                forced,
                works.length));
        copies.writeBack();
      }
    } finally {
      plan = null;
      call.clear();
    }
  }

  private void run(GradientPlan next) {
    if (shrunkFloats < next.floats()) {
      shrunkFloats = Math.max(1024, 2 * next.floats());
      shrunk = arena.allocate(4 * shrunkFloats, 64).address();
    }
    next.place(shrunk);
    for (int shard = 0; shard < works.length; shard++) {
      if (works[shard] == null) {
        works[shard] = new GradientWork(arena);
      }
      works[shard].reserve(next);
    }
    plan = next;
    double spared = next.cost() * NANOS_PER_MULTIPLY * (works.length - 1) / works.length;
    if (spared < RUN_NANOS && !next.anyThroughProduct()) {
      works[0].shrink(next, 0, next.batch().entries());
      works[0].expand(next, 0, 1);
    } else {
      workers.run(shrinkTask);
      workers.run(expandTask);
      if (next.anyThroughProduct()) {
        workers.run(productTask);
      }
    }
  }

  private void runShrink(int shard, int shards) {
    GradientPlan current = plan;
    if (current != null) {
      works[shard].shrink(current, current.firstEntry(shard), current.firstEntry(shard + 1));
    }
  }

  private void runExpand(int shard, int shards) {
    GradientPlan current = plan;
    if (current != null) {
      works[shard].expand(current, shard, shards);
    }
  }

  private void runProducts(int shard, int shards) {
    GradientPlan current = plan;
    if (current != null) {
      works[shard].finishProducts(current, shard, shards);
    }
  }
}
