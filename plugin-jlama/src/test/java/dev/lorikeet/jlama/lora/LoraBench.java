package dev.lorikeet.jlama.lora;

import dev.lorikeet.adapter.Projection;
import dev.lorikeet.adapter.TargetModule;
import dev.lorikeet.executor.LoraBatch;
import dev.lorikeet.executor.MergePlan;
import dev.lorikeet.executor.TargetGroup;
import dev.lorikeet.executor.Workers;
import dev.lorikeet.jlama.kernel.WorkerTeam;
import dev.lorikeet.tensor.ElementType;
import dev.lorikeet.tensor.Tensor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import jdk.incubator.vector.IntVector;
import org.jspecify.annotations.Nullable;

/**
 * Run by hand: deltas and switches at the shape of a 135 M Llama against the memory bandwidth of
 * the same run. Arguments: threads (2), rank (16), element type of all weights (BF16), and a part
 * of the names of the measurements to run (all).
 */
final class LoraBench {
  private static final int LAYERS = 30;
  private static final int HIDDEN = 576;
  private static final int KV = 192;
  private static final int INTERMEDIATE = 1536;
  private static final int ADAPTERS = 8;
  private static final int ROUNDS = 400;

  private final Arena arena = Arena.ofShared();
  private final SplittableRandom random = new SplittableRandom(7);
  private final Workers workers;
  private final VectorLoraExecutor executor;
  private final List<TestAdapter> adapters = new ArrayList<>();
  private final long adapterBytes;
  private final ElementType type;
  private String filter = "";

  private LoraBench(int threads, int rank, ElementType type) {
    this.type = type;
    workers = threads == 1 ? Workers.SINGLE : new WorkerTeam("bench", threads);
    executor = new VectorLoraExecutor(workers);
    for (int n = 0; n < ADAPTERS; n++) {
      TestAdapter.Builder builder = TestAdapter.builder(arena, random).contiguous();
      for (int layer = 0; layer < LAYERS; layer++) {
        for (Projection projection : Projection.all()) {
          TargetModule target = new TargetModule(layer, projection);
          builder.add(target, in(projection), out(projection), rank, 1, 1, type, 1);
        }
      }
      adapters.add(builder.build("a" + n));
    }
    adapterBytes = adapters.getFirst().spec().bytes();
  }

  private static int in(Projection projection) {
    return projection == Projection.DOWN ? INTERMEDIATE : HIDDEN;
  }

  private static int out(Projection projection) {
    return switch (projection) {
      case K, V -> KV;
      case GATE, UP -> INTERMEDIATE;
      case Q, O, DOWN -> HIDDEN;
    };
  }

  public static void main(String[] args) {
    int threads = args.length > 0 ? Integer.parseInt(args[0]) : 2;
    int rank = args.length > 1 ? Integer.parseInt(args[1]) : 16;
    ElementType type = args.length > 2 ? ElementType.valueOf(args[2]) : ElementType.BF16;
    new LoraBench(threads, rank, type).run(threads, args.length > 3 ? args[3] : "");
  }

  private void run(int threads, String filter) {
    this.filter = filter;
    double[] bandwidth = bandwidth();
    System.out.printf(
        "%d threads: read %.1f GB/s, copy %.1f GB/s; an adapter is %.1f MB%n",
        threads, bandwidth[0], bandwidth[1], adapterBytes / 1e6);
    deltas("8 tokens, 8 adapters", 8, 8, 1, bandwidth[0]);
    deltas("8 tokens, 1 adapter", 8, 1, 1, bandwidth[0]);
    deltas("8 tokens, top-2 of 8", 8, 8, 2, bandwidth[0]);
    deltas("1 token, 1 adapter", 1, 1, 1, bandwidth[0]);
    deltas("1 token, top-2", 1, 2, 2, bandwidth[0]);
    deltas("256 tokens, 1 adapter", 256, 1, 1, bandwidth[0]);
    for (int experts = 0; experts <= 2; experts++) {
      switches(experts, bandwidth[1]);
    }
  }

  /** Returns the best rates of reading and of copying 256 MB, in GB/s of bytes read or copied. */
  private double[] bandwidth() {
    long bytes = 256L << 20;
    MemorySegment from = arena.allocate(bytes, 4096);
    MemorySegment to = arena.allocate(bytes, 4096);
    from.fill((byte) 1);
    to.fill((byte) 1);
    double[] best = new double[2];
    long[] sums = new long[32 * 8];
    for (int round = 0; round < 12; round++) {
      long start = System.nanoTime();
      workers.run((shard, shards) -> sums[32 * shard] += sum(from, bytes, shard, shards));
      best[0] = Math.max(best[0], (double) bytes / (System.nanoTime() - start));
      start = System.nanoTime();
      workers.run(
          (shard, shards) -> {
            long begin = bytes / shards * shard;
            MemorySegment.copy(from, begin, to, begin, bytes / shards);
          });
      best[1] = Math.max(best[1], (double) bytes / (System.nanoTime() - start));
    }
    if (Arrays.stream(sums).sum() == 0) {
      throw new AssertionError("nothing read");
    }
    return best;
  }

  private static long sum(MemorySegment from, long bytes, int shard, int shards) {
    long begin = bytes / shards * shard;
    IntVector a = IntVector.zero(Lanes.I);
    IntVector b = a;
    IntVector c = a;
    int width = Lanes.BYTES;
    for (long i = begin; i < begin + bytes / shards - 3L * width; i += 3L * width) {
      a = a.add(IntVector.fromMemorySegment(Lanes.I, from, i, Lanes.LITTLE));
      b = b.add(IntVector.fromMemorySegment(Lanes.I, from, i + width, Lanes.LITTLE));
      c = c.add(IntVector.fromMemorySegment(Lanes.I, from, i + 2L * width, Lanes.LITTLE));
    }
    return Arrays.stream(a.add(b).add(c).toArray()).sum();
  }

  private void deltas(String name, int tokens, int experts, int top, double readRate) {
    List<TargetGroup> groups = new ArrayList<>();
    for (int layer = 0; layer < LAYERS; layer++) {
      groups.add(TargetGroup.of(layer, Projection.Q, Projection.K, Projection.V));
      groups.add(TargetGroup.of(layer, Projection.O));
      groups.add(TargetGroup.of(layer, Projection.GATE, Projection.UP));
      groups.add(TargetGroup.of(layer, Projection.DOWN));
    }
    List<Tensor> inputs = new ArrayList<>();
    List<List<Tensor>> outputs = new ArrayList<>();
    for (TargetGroup group : groups.subList(0, 4)) {
      inputs.add(zeros(tokens, in(group.projections().getFirst())));
      outputs.add(group.projections().stream().map(p -> zeros(tokens, out(p))).toList());
    }
    LoraBatch batch = new LoraBatch().reset(tokens);
    for (int n = 0; n < experts; n++) {
      batch.beginSegment(adapters.get(n));
      for (int t = 0; t < tokens; t++) {
        for (int k = 0; k < top; k++) {
          if ((t + k) % experts == n) {
            batch.add(t, 1);
          }
        }
      }
    }
    for (DeltaPlan.Split split : DeltaPlan.Split.values()) {
      measure(name + " " + split, split, groups, batch, inputs, outputs, experts, readRate);
    }
    measure(name, null, groups, batch, inputs, outputs, experts, readRate);
  }

  private void measure(
      String name,
      DeltaPlan.@Nullable Split split,
      List<TargetGroup> groups,
      LoraBatch batch,
      List<Tensor> inputs,
      List<List<Tensor>> outputs,
      int experts,
      double readRate) {
    if (!name.contains(filter)) {
      return;
    }
    executor.force(split);
    long[] times = new long[ROUNDS];
    for (int round = -60; round < ROUNDS; round++) {
      long start = System.nanoTime();
      for (int g = 0; g < groups.size(); g++) {
        executor.addDelta(groups.get(g), batch, inputs.get(g % 4), outputs.get(g % 4));
      }
      if (round >= 0) {
        times[round] = System.nanoTime() - start;
      }
    }
    Arrays.sort(times);
    double floor = experts * adapterBytes / readRate;
    System.out.printf(
        "%-36s min %7.0f us, median %7.0f us; reading the weights %6.0f us; ratio %.2f%n",
        name, times[0] / 1e3, times[ROUNDS / 2] / 1e3, floor / 1e3, times[0] / floor);
  }

  private Tensor zeros(int tokens, int columns) {
    return Tensor.host(arena.allocate(4L * tokens * columns, 64), ElementType.F32, tokens, columns);
  }

  private void switches(int experts, double copyRate) {
    if (!"switch".contains(filter)) {
      return;
    }
    List<MergePlan.Target> targets = new ArrayList<>();
    long bytes = 0;
    try (Arena weights = Arena.ofShared()) {
      for (int layer = 0; layer < LAYERS; layer++) {
        for (Projection projection : Projection.all()) {
          long size = (long) in(projection) * out(projection) * type.bytes();
          bytes += size;
          targets.add(
              new MergePlan.Target(
                  new TargetModule(layer, projection),
                  Tensor.host(weights.allocate(size, 64), type, out(projection), in(projection)),
                  Tensor.host(weights.allocate(size, 64), type, out(projection), in(projection))));
        }
      }
      List<MergePlan.Share> mixture = new ArrayList<>();
      for (int n = 0; n < experts; n++) {
        mixture.add(new MergePlan.Share(adapters.get(n), 0.5f));
      }
      MergePlan plan = new MergePlan(targets, mixture);
      long[] times = new long[15];
      for (int round = -8; round < times.length; round++) {
        long start = System.nanoTime();
        executor.switchMerged(plan);
        if (round >= 0) {
          times[round] = System.nanoTime() - start;
        }
      }
      Arrays.sort(times);
      System.out.printf(
          "switch %s to %d adapters: min %.1f ms, median %.1f ms, %.1f GB/s, %.2f of copying%n",
          type,
          experts,
          times[0] / 1e6,
          times[7] / 1e6,
          (double) bytes / times[0],
          (double) bytes / times[0] / copyRate);
    }
  }
}
