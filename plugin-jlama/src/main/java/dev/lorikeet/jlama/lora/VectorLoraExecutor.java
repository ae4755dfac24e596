package dev.lorikeet.jlama.lora;

import dev.lorikeet.executor.LoraBatch;
import dev.lorikeet.executor.LoraExecutor;
import dev.lorikeet.executor.MergePlan;
import dev.lorikeet.executor.TargetGroup;
import dev.lorikeet.executor.Workers;
import dev.lorikeet.executor.Workers.ShardTask;
import dev.lorikeet.tensor.Device;
import dev.lorikeet.tensor.ElementType;
import dev.lorikeet.tensor.Tensor;
import java.lang.foreign.Arena;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * LoRA on the Vector API. Computes in F32 with fused multiply-adds; results do not depend on what
 * else is in the batch nor on the number of workers, bit for bit. Native memory is read and written
 * in place; a call with some of its memory on the heap goes to the scalar twin.
 *
 * <p>Arguments are checked once per call, in the calling thread. Off-heap scratch grows with the
 * largest call seen and is freed on close; steady use allocates nothing on the heap.
 */
final class VectorLoraExecutor implements LoraExecutor {
  private final Workers workers;
  private final Arena arena = Arena.ofShared();
  private final ScalarLoraExecutor scalar = new ScalarLoraExecutor();
  private final DeltaPlan plan = new DeltaPlan();
  private final DeltaWork[] works;
  private final ShardTask entriesTask = this::runEntries;
  private final ShardTask rowsTask = this::runRows;
  private final ShardTask outputsTask = this::runOutputs;
  private final Merging merging;
  private @Nullable LoraBatch batch;
  private @Nullable Tensor x;
  private @Nullable List<Tensor> y;
  private long shrunk;
  private long shrunkCapacity;
  private DeltaPlan.@Nullable Split forced;
  private boolean closed;

  VectorLoraExecutor(Workers workers) {
    this.workers = workers;
    works = new DeltaWork[workers.parallelism()];
    for (int shard = 0; shard < works.length; shard++) {
      works[shard] = new DeltaWork(plan, arena);
    }
    merging = new Merging(workers, arena);
  }

  @Override
  public Device device() {
    return Device.HOST;
  }

  @Override
  public boolean merges(ElementType type, Device device) {
    return device.isHost();
  }

  @Override
  public void addDelta(TargetGroup targets, LoraBatch batch, Tensor x, List<Tensor> y) {
    checkOpen();
    try {
      plan.prepare(targets, batch, x, y);
      if (plan.units() == 0) {
        return;
      }
      if (plan.touchesHeap()) {
        scalar.addDelta(targets, batch, x, y);
        return;
      }
      this.batch = batch;
      this.x = x;
      this.y = y;
      reserve();
      switch (plan.split(batch, works.length, forced)) {
        case NONE -> runEntries(0, 1);
        case BY_ENTRIES -> workers.run(entriesTask);
        case BY_FEATURES -> {
          workers.run(rowsTask);
          workers.run(outputsTask);
        }
      }
    } finally {
      plan.clear();
    }
  }

  /** Makes the next calls use this split where it is allowed, for tests and measurements. */
  void force(DeltaPlan.@Nullable Split split) {
    forced = split;
  }

  private void reserve() {
    if (shrunkCapacity < plan.shrunkFloats()) {
      shrunkCapacity = Math.max(1024, 2 * plan.shrunkFloats());
      shrunk = arena.allocate(4 * shrunkCapacity, 64).address();
    }
    for (DeltaWork work : works) {
      work.reserve();
    }
  }

  private void runEntries(int shard, int shards) {
    LoraBatch b = batch;
    Tensor in = x;
    List<Tensor> out = y;
    if (b != null && in != null && out != null) {
      works[shard].entries(b, in, out, shrunk, plan.firstEntry(shard), plan.firstEntry(shard + 1));
    }
  }

  private void runRows(int shard, int shards) {
    LoraBatch b = batch;
    Tensor in = x;
    if (b != null && in != null) {
      works[shard].rows(b, in, shrunk, shard, shards);
    }
  }

  private void runOutputs(int shard, int shards) {
    LoraBatch b = batch;
    List<Tensor> out = y;
    if (b != null && out != null) {
      works[shard].outputs(b, out, shrunk, shard, shards);
    }
  }

  @Override
  public void switchMerged(MergePlan plan) {
    checkOpen();
    LoraArguments.checkPlan(plan);
    if (Merging.touchesHeap(plan)) {
      scalar.switchMerged(plan);
    } else {
      merging.merge(plan);
    }
  }

  @Override
  public void close() {
    if (!closed) {
      closed = true;
      scalar.close();
      arena.close();
    }
  }

  private void checkOpen() {
    if (closed) {
      throw new IllegalStateException("the executor is closed");
    }
  }
}
