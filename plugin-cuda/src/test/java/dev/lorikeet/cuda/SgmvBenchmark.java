package dev.lorikeet.cuda;

import dev.lorikeet.adapter.Projection;
import dev.lorikeet.adapter.TargetModule;
import dev.lorikeet.cuda.driver.DeviceMemory;
import dev.lorikeet.executor.LoraBatch;
import dev.lorikeet.executor.TargetGroup;
import dev.lorikeet.tensor.ElementType;
import dev.lorikeet.tensor.Tensor;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/**
 * SGMV over hidden size, rank, tokens and Punica's four distributions of adapters: one square
 * target module in BF16, its layers in rotation so that together they exceed the cache.
 */
final class SgmvBenchmark {
  private static final int LARGEST_ROTATION = 96;
  private static final int[] MIXED = {8, 16, 32, 64};

  private final CudaLoraExecutor executor;
  private final long rotateBytes;
  private final DeviceTimer timer;

  /** How tokens choose adapters. */
  enum Distribution {
    /** All one. */
    IDENTICAL,
    /** As many adapters as the root of the tokens, each as often. */
    UNIFORM,
    /** Each adapter 1.5 times as often as the next. */
    SKEWED,
    /** Each token its own, as long as there are adapters. */
    DISTINCT
  }

  /**
   * One measurement.
   *
   * @param rank 0 for mixed ranks
   */
  record Case(int hidden, int rank, int tokens, int adapters, Distribution distribution) {
    String key() {
      return hidden
          + "/"
          + (rank == 0 ? "mixed" : rank)
          + "/"
          + tokens
          + "/"
          + adapters
          + "/"
          + distribution.name().toLowerCase(Locale.ROOT);
    }
  }

  /** What was measured: bytes that must move, microseconds per call, alone and in a graph. */
  record Result(Case benchmark, long bytes, double callMicros, double graphMicros) {}

  SgmvBenchmark(CudaLoraExecutor executor, long rotateBytes, DeviceTimer timer) {
    this.executor = executor;
    this.rotateBytes = rotateBytes;
    this.timer = timer;
  }

  /** The number of adapters that a distribution makes of so many tokens. */
  static int adapters(Distribution distribution, int tokens, int most) {
    int wanted =
        switch (distribution) {
          case IDENTICAL -> 1;
          case UNIFORM -> (int) Math.ceil(Math.sqrt(tokens));
          case SKEWED -> Math.max(1, (int) Math.ceil(Math.log(tokens + 1.0) / Math.log(1.5) / 2));
          case DISTINCT -> tokens;
        };
    return Math.min(wanted, most);
  }

  /** How many tokens each adapter gets. */
  static int[] counts(Distribution distribution, int tokens, int adapters) {
    double[] shares = new double[adapters];
    double sum = 0;
    for (int a = 0; a < adapters; a++) {
      shares[a] = distribution == Distribution.SKEWED ? Math.pow(1.5, adapters - a) : 1;
      sum += shares[a];
    }
    int[] counts = new int[adapters];
    int left = tokens - adapters;
    int given = 0;
    for (int a = 0; a < adapters; a++) {
      int extra = (int) (left * shares[a] / sum);
      counts[a] = 1 + extra;
      given += extra;
    }
    for (int a = 0; given < left; a = (a + 1) % adapters, given++) {
      counts[a]++;
    }
    return counts;
  }

  Result run(Case benchmark) {
    int hidden = benchmark.hidden();
    int[] counts = counts(benchmark.distribution(), benchmark.tokens(), benchmark.adapters());
    long bytes = 2L * 3 * benchmark.tokens() * hidden;
    for (int a = 0; a < counts.length; a++) {
      bytes += 2L * 2 * rank(benchmark, a) * hidden;
    }
    int rotation = Math.clamp(rotateBytes / bytes + 1, 1, LARGEST_ROTATION);
    LoraBatch batch = new LoraBatch().reset(benchmark.tokens());
    int token = 0;
    for (int a = 0; a < counts.length; a++) {
      batch.beginSegment(new BenchmarkAdapter(rank(benchmark, a), layers(rotation, hidden)));
      for (int i = 0; i < counts[a]; i++) {
        batch.add(token++, 1);
      }
    }
    return measure(benchmark, batch, bytes, rotation);
  }

  private static int rank(Case benchmark, int adapter) {
    return benchmark.rank() == 0 ? MIXED[adapter % MIXED.length] : benchmark.rank();
  }

  private static List<BenchmarkAdapter.Size> layers(int rotation, int hidden) {
    List<BenchmarkAdapter.Size> sizes = new ArrayList<>();
    for (int layer = 0; layer < rotation; layer++) {
      sizes.add(new BenchmarkAdapter.Size(new TargetModule(layer, Projection.Q), hidden, hidden));
    }
    return sizes;
  }

  private Result measure(Case benchmark, LoraBatch batch, long bytes, int rotation) {
    int tokens = benchmark.tokens();
    int hidden = benchmark.hidden();
    long size = 2L * tokens * hidden;
    List<TargetGroup> groups = new ArrayList<>();
    List<Tensor> x = new ArrayList<>();
    List<List<Tensor>> y = new ArrayList<>();
    try (DeviceMemory inputs = DeviceMemory.allocate(size * rotation);
        DeviceMemory outputs = DeviceMemory.allocate(size * rotation)) {
      executor.stream().fill(inputs.address(), (byte) 0, inputs.bytes());
      executor.stream().fill(outputs.address(), (byte) 0, outputs.bytes());
      for (int i = 0; i < rotation; i++) {
        groups.add(TargetGroup.of(i, Projection.Q));
        x.add(tensor(inputs, i * size, tokens, hidden));
        y.add(List.of(tensor(outputs, i * size, tokens, hidden)));
      }
      for (int i = 0; i < rotation; i++) {
        executor.addDelta(groups.get(i), batch, x.get(i), y.get(i));
      }
      double call =
          timer.medianMicros(
              rotation, i -> executor.addDelta(groups.get(i), batch, x.get(i), y.get(i)));
      double graph =
          timer.graphMicros(
              rotation, i -> executor.addDelta(groups.get(i), batch, x.get(i), y.get(i)));
      return new Result(benchmark, bytes, call, graph);
    }
  }

  private Tensor tensor(DeviceMemory memory, long offset, int rows, int columns) {
    return memory.tensor(offset, ElementType.BF16, rows, columns, columns, executor.device());
  }
}
