package dev.lorikeet.cuda.lora;

import static dev.lorikeet.tensor.ElementType.BF16;

import dev.lorikeet.cuda.driver.DeviceMemory;
import dev.lorikeet.executor.LoraBatch;
import dev.lorikeet.executor.TargetGroup;
import dev.lorikeet.shape.Projection;
import dev.lorikeet.shape.TargetModule;
import dev.lorikeet.tensor.Tensor;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.function.IntConsumer;

/**
 * SGMV over hidden size, rank, tokens and Punica's four distributions of adapters: one square
 * target module in BF16, its layers in rotation so that together they exceed the cache.
 */
final class SgmvBenchmark {
  private static final int LARGEST_ROTATION = 1024;
  private static final int[] MIXED = {8, 16, 32, 64};

  private final Case benchmark;
  private final int[] counts;
  private final long bytes;
  private final int rotation;

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

    /** Returns whether a target speaks of it: decode with 64 or more distinct adapters. */
    boolean isTarget() {
      return distribution == Distribution.DISTINCT && adapters >= 64 && tokens == adapters;
    }
  }

  /**
   * What was measured.
   *
   * @param bytes what a call must move: factors, x, and y twice
   * @param rotation how many layers take turns
   * @param callMicros the time of a call by itself
   * @param graphMicros the time of a call in a graph of many
   */
  record Result(long bytes, int rotation, double callMicros, double graphMicros) {}

  /** Prepares a case whose layers in rotation have at least so many bytes. */
  SgmvBenchmark(Case benchmark, long rotateBytes) {
    this.benchmark = benchmark;
    counts = counts(benchmark.distribution(), benchmark.tokens(), benchmark.adapters());
    bytes = factorBytes() + 2L * 3 * benchmark.tokens() * benchmark.hidden();
    rotation = Math.clamp(rotateBytes / bytes + 1, 1, LARGEST_ROTATION);
  }

  private long factorBytes() {
    long sum = 0;
    for (int a = 0; a < counts.length; a++) {
      sum += 2L * 2 * rank(a) * benchmark.hidden();
    }
    return sum;
  }

  /** Returns how much device memory the adapters take, with room for what pages waste. */
  long adapterBytes() {
    return rotation * factorBytes() * 17 / 16 + ((8L + counts.length) << 20);
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

  Result run(CudaLoraExecutor executor, DeviceTimer timer) {
    int tokens = benchmark.tokens();
    int hidden = benchmark.hidden();
    LoraBatch batch = batch();
    long size = 2L * tokens * hidden;
    List<TargetGroup> groups = new ArrayList<>();
    List<Tensor> x = new ArrayList<>();
    List<List<Tensor>> y = new ArrayList<>();
    try (DeviceMemory inputs = DeviceMemory.allocate(size * rotation);
        DeviceMemory outputs = DeviceMemory.allocate(size * rotation)) {
      BenchmarkAdapter.randomize(inputs, executor.stream());
      BenchmarkAdapter.randomize(outputs, executor.stream());
      for (int i = 0; i < rotation; i++) {
        TargetModule module = module(i);
        groups.add(TargetGroup.of(module.layer(), module.projection()));
        x.add(inputs.tensor(i * size, BF16, tokens, hidden, hidden, executor.device()));
        y.add(List.of(outputs.tensor(i * size, BF16, tokens, hidden, hidden, executor.device())));
      }
      IntConsumer call = i -> executor.addDelta(groups.get(i), batch, x.get(i), y.get(i));
      // Sends the adapters; only then can calls be captured.
      for (int i = 0; i < rotation; i++) {
        call.accept(i);
      }
      return new Result(
          bytes, rotation, timer.medianMicros(rotation, call), timer.graphMicros(rotation, call));
    }
  }

  private LoraBatch batch() {
    List<BenchmarkAdapter.Size> layers = new ArrayList<>();
    for (int i = 0; i < rotation; i++) {
      layers.add(new BenchmarkAdapter.Size(module(i), benchmark.hidden(), benchmark.hidden()));
    }
    LoraBatch batch = new LoraBatch().reset(benchmark.tokens());
    int token = 0;
    for (int a = 0; a < counts.length; a++) {
      batch.beginSegment(new BenchmarkAdapter(rank(a), layers));
      for (int i = 0; i < counts[a]; i++) {
        batch.add(token++, 1);
      }
    }
    return batch;
  }

  /** The module that plays one layer: all projections take part, so that tables stay small. */
  private static TargetModule module(int i) {
    List<Projection> projections = Projection.ofLayer();
    return TargetModule.of(i / projections.size(), projections.get(i % projections.size()));
  }

  private int rank(int adapter) {
    return benchmark.rank() == 0 ? MIXED[adapter % MIXED.length] : benchmark.rank();
  }
}
