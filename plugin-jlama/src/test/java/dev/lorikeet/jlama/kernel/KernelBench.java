package dev.lorikeet.jlama.kernel;

import dev.lorikeet.tensor.ElementType;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.management.ManagementFactory;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Random;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorOperators;

/**
 * A benchmark to run by hand: all linear layers of a 135 M Llama shape (hidden 576, intermediate
 * 1,536, k and v 192, 30 layers, vocabulary 49,152) as one decoder step would use them, against the
 * floor that the same run measures: the speed of reading memory and of FMAs from registers. The
 * machine may be shared, so best of several, and ratios rather than absolute figures.
 *
 * <p>Arguments: {@code [BF16|F16|F32|Q4] [repetitions] [huge]}; {@code huge} copies the weights to
 * huge pages.
 */
@SuppressWarnings(
    "NonAtomicVolatileUpdate") // The sink keeps results alive; its value does not matter.
final class KernelBench {
  private static final int LAYERS = 30;
  private static final int HIDDEN = 576;
  private static final int INTERMEDIATE = 1536;
  private static final int KV = 192;
  private static final int VOCABULARY = 49_152;

  private static volatile float sink;

  private KernelBench() {}

  private record Layer(
      WeightMatrix q,
      WeightMatrix k,
      WeightMatrix v,
      WeightMatrix o,
      WeightMatrix gate,
      WeightMatrix up,
      WeightMatrix down) {
    List<WeightMatrix> all() {
      return List.of(q, k, v, o, gate, up, down);
    }
  }

  public static void main(String[] args) {
    String type = args.length > 0 ? args[0] : "BF16";
    int repetitions = args.length > 1 ? Integer.parseInt(args[1]) : 12;
    huge = args.length > 2;
    try (Arena arena = Arena.ofShared()) {
      Random random = new Random(1);
      List<Layer> layers = new ArrayList<>();
      for (int layer = 0; layer < LAYERS; layer++) {
        layers.add(
            new Layer(
                weights(arena, random, type, HIDDEN, HIDDEN),
                weights(arena, random, type, KV, HIDDEN),
                weights(arena, random, type, KV, HIDDEN),
                weights(arena, random, type, HIDDEN, HIDDEN),
                weights(arena, random, type, INTERMEDIATE, HIDDEN),
                weights(arena, random, type, INTERMEDIATE, HIDDEN),
                weights(arena, random, type, HIDDEN, INTERMEDIATE)));
      }
      WeightMatrix head = weights(arena, random, type, VOCABULARY, HIDDEN);
      long bytes = head.bytes();
      long parameters = (long) VOCABULARY * HIDDEN;
      for (Layer layer : layers) {
        for (WeightMatrix w : layer.all()) {
          bytes += w.bytes();
          parameters += (long) w.rows() * w.columns();
        }
      }
      System.out.printf(
          Locale.ROOT,
          "%s: %.1f M parameters, %.1f MB; %s%n",
          type,
          parameters / 1e6,
          bytes / 1e6,
          Kernels.get().description());
      for (int threads = 1; threads <= 2; threads++) {
        try (WorkerTeam team = new WorkerTeam("bench", threads)) {
          double bandwidth = bandwidth(team, arena);
          double peak = peak(team);
          System.out.printf(
              Locale.ROOT, "threads %d: floor %.1f GB/s, %.0f GFLOP/s%n", threads, bandwidth, peak);
          for (int tokens : new int[] {1, 2, 4, 8, 16, 256}) {
            step(
                team,
                layers,
                head,
                tokens,
                tokens > 16 ? Math.max(3, repetitions / 4) : repetitions,
                bytes,
                parameters,
                bandwidth,
                peak);
          }
        }
      }
    }
  }

  private static boolean huge;

  private static WeightMatrix weights(
      Arena arena, Random random, String type, int rows, int columns) {
    WeightMatrix plain =
        type.equals("Q4")
            ? RandomWeights.q4(arena, random, rows, columns)
            : RandomWeights.matrix(arena, random, ElementType.valueOf(type), rows, columns);
    return huge && plain instanceof WeightMatrix.Floats floats
        ? WeightMatrix.of(
            HugePages.allocate(arena, floats.segment().byteSize()).copyFrom(floats.segment()),
            floats.type(),
            rows,
            columns)
        : plain;
  }

  private static void step(
      WorkerTeam team,
      List<Layer> layers,
      WeightMatrix head,
      int tokens,
      int repetitions,
      long bytes,
      long parameters,
      double bandwidth,
      double peak) {
    MatMul matMul = Kernels.get().matMul();
    // Prefill computes logits for the last token only.
    int headTokens = tokens > 16 ? 1 : tokens;
    try (Arena arena = Arena.ofShared();
        ActivationPanel panel = new ActivationPanel(tokens, INTERMEDIATE, team.parallelism())) {
      MemorySegment x = RandomWeights.floats(arena, new Random(2), (long) tokens * INTERMEDIATE);
      MemorySegment y = arena.allocate((long) tokens * INTERMEDIATE * 4 * 3, 64);
      MemorySegment logits = arena.allocate((long) headTokens * VOCABULARY * 4, 64);
      dev.lorikeet.executor.Workers.ShardTask task =
          (shard, shards) -> {
            for (int i = 0; i < layers.size(); i++) {
              Layer layer = layers.get(i);
              matMul.pack(panel, x, HIDDEN * 4L, tokens, HIDDEN, shard, shards);
              team.barrier();
              matMul.multiply(layer.q, panel, y, HIDDEN * 4L, shard, shards);
              matMul.multiply(layer.k, panel, y, HIDDEN * 4L, shard, shards);
              matMul.multiply(layer.v, panel, y, HIDDEN * 4L, shard, shards);
              team.barrier();
              matMul.pack(panel, x, HIDDEN * 4L, tokens, HIDDEN, shard, shards);
              team.barrier();
              matMul.multiply(layer.o, panel, y, HIDDEN * 4L, shard, shards);
              team.barrier();
              matMul.pack(panel, x, HIDDEN * 4L, tokens, HIDDEN, shard, shards);
              team.barrier();
              matMul.multiply(layer.gate, panel, y, INTERMEDIATE * 4L, shard, shards);
              matMul.multiply(layer.up, panel, y, INTERMEDIATE * 4L, shard, shards);
              team.barrier();
              matMul.pack(panel, x, INTERMEDIATE * 4L, tokens, INTERMEDIATE, shard, shards);
              team.barrier();
              matMul.multiply(layer.down, panel, y, HIDDEN * 4L, shard, shards);
              team.barrier();
            }
            matMul.pack(panel, x, HIDDEN * 4L, headTokens, HIDDEN, shard, shards);
            team.barrier();
            matMul.multiply(head, panel, logits, VOCABULARY * 4L, shard, shards);
          };
      var allocation = (com.sun.management.ThreadMXBean) ManagementFactory.getThreadMXBean();
      long best = Long.MAX_VALUE;
      long allocated = 0;
      for (int repetition = 0; repetition < repetitions; repetition++) {
        long before = allocation.getCurrentThreadAllocatedBytes();
        long start = time(team);
        team.run(task);
        best = Math.min(best, time(team) - start);
        allocated = allocation.getCurrentThreadAllocatedBytes() - before;
      }
      double flops =
          2.0
              * ((parameters - (double) VOCABULARY * HIDDEN) * tokens
                  + (double) VOCABULARY * HIDDEN * headTokens);
      double floor = Math.max(bytes / bandwidth, flops / peak);
      System.out.printf(
          Locale.ROOT,
          "  tokens %3d: %7.2f ms  %7.0f tokens/s  %6.1f GFLOP/s (%2.0f %%)  %5.1f GB/s (%2.0f %%)  %2.0f %% of the floor  %d bytes allocated%n",
          tokens,
          best / 1e6,
          tokens * 1e9 / best,
          flops / best,
          100 * flops / best / peak,
          (double) bytes / best,
          100.0 * bytes / best / bandwidth,
          100 * floor / best,
          allocated);
    }
  }

  /**
   * Processor time of one thread, so that other processes do not count; wall-clock time of several.
   */
  private static long time(WorkerTeam team) {
    return team.parallelism() == 1
        ? ManagementFactory.getThreadMXBean().getCurrentThreadCpuTime()
        : System.nanoTime();
  }

  /** Reads 256 MB in order, each thread its own part, four streams at a time. */
  private static double bandwidth(WorkerTeam team, Arena arena) {
    long size = 256L << 20;
    MemorySegment memory = arena.allocate(size, 64);
    memory.fill((byte) 1);
    long best = Long.MAX_VALUE;
    for (int repetition = 0; repetition < 8; repetition++) {
      long start = time(team);
      team.run(
          (shard, shards) -> sink = read(memory.address() + size / shards * shard, size / shards));
      best = Math.min(best, time(team) - start);
    }
    return (double) size / best;
  }

  private static int read(long from, long bytes) {
    IntVector a = IntVector.zero(Lanes.I);
    IntVector b = a;
    IntVector c = a;
    IntVector d = a;
    long part = bytes / 4;
    long base = from & NativeMemory.ADDRESS;
    for (int i = 0; i < part / Lanes.BYTES; i++) {
      long at = base + i * Lanes.BYTES;
      a = a.add(IntVector.fromMemorySegment(Lanes.I, NativeMemory.ALL, at, Lanes.LE));
      b =
          b.add(
              IntVector.fromMemorySegment(
                  Lanes.I, NativeMemory.ALL, at + part & NativeMemory.ADDRESS, Lanes.LE));
      c =
          c.add(
              IntVector.fromMemorySegment(
                  Lanes.I, NativeMemory.ALL, at + 2 * part & NativeMemory.ADDRESS, Lanes.LE));
      d =
          d.add(
              IntVector.fromMemorySegment(
                  Lanes.I, NativeMemory.ALL, at + 3 * part & NativeMemory.ADDRESS, Lanes.LE));
    }
    return a.add(b).add(c).add(d).reduceLanes(VectorOperators.ADD);
  }

  private static double peak(WorkerTeam team) {
    int rounds = 5_000_000;
    long best = Long.MAX_VALUE;
    for (int repetition = 0; repetition < 8; repetition++) {
      long start = time(team);
      team.run((shard, shards) -> sink = multiplyAdd(rounds));
      best = Math.min(best, time(team) - start);
    }
    return 2.0 * 10 * Lanes.L * rounds * team.parallelism() / best;
  }

  private static float multiplyAdd(int rounds) {
    FloatVector a = FloatVector.broadcast(Lanes.F, 1.0000001f);
    FloatVector b = FloatVector.broadcast(Lanes.F, 1e-9f);
    FloatVector c0 = FloatVector.zero(Lanes.F);
    FloatVector c1 = c0.add(1);
    FloatVector c2 = c0.add(2);
    FloatVector c3 = c0.add(3);
    FloatVector c4 = c0.add(4);
    FloatVector c5 = c0.add(5);
    FloatVector c6 = c0.add(6);
    FloatVector c7 = c0.add(7);
    FloatVector c8 = c0.add(8);
    FloatVector c9 = c0.add(9);
    for (int i = 0; i < rounds; i++) {
      c0 = c0.fma(a, b);
      c1 = c1.fma(a, b);
      c2 = c2.fma(a, b);
      c3 = c3.fma(a, b);
      c4 = c4.fma(a, b);
      c5 = c5.fma(a, b);
      c6 = c6.fma(a, b);
      c7 = c7.fma(a, b);
      c8 = c8.fma(a, b);
      c9 = c9.fma(a, b);
    }
    return c0.add(c1)
        .add(c2)
        .add(c3)
        .add(c4)
        .add(c5)
        .add(c6)
        .add(c7)
        .add(c8)
        .add(c9)
        .reduceLanes(VectorOperators.ADD);
  }
}
