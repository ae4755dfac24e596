package dev.lorikeet.jlama.lora;

import dev.lorikeet.executor.LoraBatch;
import dev.lorikeet.executor.LoraExecutor;
import dev.lorikeet.executor.LoraGradients;
import dev.lorikeet.executor.MergePlan;
import dev.lorikeet.executor.TargetGroup;
import dev.lorikeet.executor.Workers;
import dev.lorikeet.executor.Workers.ShardTask;
import dev.lorikeet.shape.Projection;
import dev.lorikeet.shape.TargetModule;
import dev.lorikeet.tensor.Device;
import dev.lorikeet.tensor.ElementType;
import dev.lorikeet.tensor.Tensor;
import java.lang.foreign.Arena;
import java.util.List;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * LoRA on the Vector API. Computes in F32 with fused multiply-adds; results do not depend on what
 * else is in the batch nor on the number of workers, bit for bit. Native memory is read and written
 * in place; a call with some of its memory on the heap goes to the scalar twin.
 *
 * <p>An entry of weight zero is computed like any other: it adds zero times its delta, as IEEE 754
 * has it, so that an infinite delta adds NaN. A block-diagonal factor is dense within its blocks
 * and absent outside.
 *
 * <p>Arguments are checked once per call, in the calling thread. Off-heap scratch grows with the
 * largest call seen and is freed on close; steady use allocates nothing on the heap.
 */
final class VectorLoraExecutor implements LoraExecutor {
  /*
   * A 135 M Llama in BF16 (30 layers, hidden 576, 4 target groups a layer, rank 16 on all projections: 9.8 MB an
   * adapter), two threads of a 2.7 GHz Xeon. Expected: 8 tokens with 8 adapters take as long as reading 78 MB; 8 tokens
   * with one adapter are bound by 2.4 million multiply-adds of 512 bits, 0.3 ms, beside 0.3 ms of reading; one token by
   * reading 9.8 MB. Measured in a process of its own, other work on the machine, minimum of a step's 120 calls:
   *
   *   8 tokens, 8 adapters     2.3 to 2.4 ms: 33 GB/s, where a plain reading loop had reached 28 to 31 when the machine
   *                            was quiet
   *   8 tokens, 1 adapter      0.84 to 0.94 ms; on one thread 1.15, with the weights in the second-level cache 0.95
   *   8 tokens, top-2 of 8     3.9 ms: a run more per call, and each weight for two tokens
   *   1 token, 1 adapter       0.37 ms on one thread, the choice made: 27 GB/s
   *
   * The gap at one adapter is what comes per token, not per weight: packing x, summing lanes, adding to y, 1
   * microsecond a token and layer, and two threads that hand over 4 to 8 times a layer.
   *
   * Within a decode step all of this costs about twice as much (one adapter 1.6 to 2 ms, eight 4 to 5 ms): the weights
   * come cold, in pieces of 20 to 50 KiB, too short for the prefetchers to get under way, and reading them adds to
   * computing. Per layer, one adapter takes 16 microseconds to shrink and 24 to expand, of which 6 and 11 are left when
   * the same is repeated at once. Tried without gain there, or with too little to pay for its code: sums of eight
   * tokens in registers over all rows of B (a quarter faster from cache, or slower with factors spread beforehand),
   * touching weights ahead, huge pages, and deltas inside the decoder's own tasks, without hand-overs, from inputs
   * packed already, with the addresses of all rows in one table (1.76 ms instead of 1.87 for one adapter, nothing for
   * eight).
   */
  private final Workers workers;
  private final Arena arena = Arena.ofShared();
  private final ScalarLoraExecutor scalar = new ScalarLoraExecutor();
  private final DeltaCall call = new DeltaCall();
  private final DeltaWork[] works;
  private final ShardTask entriesTask = this::runEntries;
  private final ShardTask rowsTask = this::runRows;
  private final ShardTask outputsTask = this::runOutputs;
  private final Merging merging;
  private final VectorLoraGradients gradients;
  private @Nullable LoraBatch batch;
  private @Nullable Tensor x;
  private @Nullable List<Tensor> y;
  private long shrunk;
  private long shrunkCapacity;
  private DeltaCall.@Nullable Split forced;
  private boolean closed;

  VectorLoraExecutor(Workers workers) {
    this(workers, Optional.empty());
  }

  /**
   * @param order the order of the products behind gradients, if it is not to be the cheapest
   */
  VectorLoraExecutor(Workers workers, Optional<GradientOrder> order) {
    this.workers = workers;
    works = new DeltaWork[workers.parallelism()];
    for (int shard = 0; shard < works.length; shard++) {
      works[shard] = new DeltaWork(call, arena);
    }
    merging = new Merging(workers, arena);
    gradients = new VectorLoraGradients(workers, arena, order, this::checkOpen);
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
  public boolean takes(TargetModule module) {
    return module.projection() != Projection.EMBED;
  }

  @Override
  public void addDelta(TargetGroup targets, LoraBatch batch, Tensor x, List<Tensor> y) {
    checkOpen();
    try {
      call.prepare(targets, batch, x, y);
      if (call.units() == 0) {
        return;
      }
      if (call.touchesHeap()) {
        scalar.addDelta(targets, batch, x, y);
        return;
      }
      this.batch = batch;
      this.x = x;
      this.y = y;
      reserve();
      switch (call.split(batch, works.length, forced)) {
        case NONE -> runEntries(0, 1);
        case BY_ENTRIES -> workers.run(entriesTask);
        case BY_FEATURES -> {
          workers.run(rowsTask);
          workers.run(outputsTask);
        }
      }
    } finally {
      call.clear();
    }
  }

  /** Makes the next calls use this split where it is allowed, for tests and measurements. */
  void force(DeltaCall.@Nullable Split split) {
    forced = split;
  }

  private void reserve() {
    if (shrunkCapacity < call.shrunkFloats()) {
      shrunkCapacity = Math.max(1024, 2 * call.shrunkFloats());
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
      works[shard].entries(b, in, out, shrunk, call.firstEntry(shard), call.firstEntry(shard + 1));
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
  public Optional<LoraGradients> gradients() {
    return Optional.of(gradients);
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
