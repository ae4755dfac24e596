package dev.lorikeet.bench.kernels.jmh;

import dev.lorikeet.Plugins;
import dev.lorikeet.executor.ExecutorConfig;
import dev.lorikeet.executor.GradientSums;
import dev.lorikeet.executor.LoraBatch;
import dev.lorikeet.executor.LoraExecutor;
import dev.lorikeet.executor.LoraGradients;
import dev.lorikeet.executor.TargetGroup;
import dev.lorikeet.jlama.kernel.WorkerTeam;
import dev.lorikeet.shape.Projection;
import dev.lorikeet.tensor.Tensor;
import java.lang.foreign.Arena;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Level;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;

/**
 * The LoRA operator on Q, K and V of one layer, all square, with one adapter in F32: forward, and
 * backward with the products of the gradients in either order.
 */
@SuppressWarnings("NullAway.Init") // JMH sets parameters and calls open
@State(Scope.Benchmark)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
public class GradientBenchmark {
  /** The modules of the group. */
  public static final int MODULES = 3;

  /** Forward, or backward through the rank or through dy^T x. */
  @Param({"forward", "rank", "product"})
  public String pass;

  /** Inputs and outputs of each module. */
  @Param({"576", "2048"})
  public int hidden;

  /** The adapter's rank. */
  @Param({"4", "16", "64"})
  public int rank;

  /** Tokens, all of the one adapter. */
  @Param({"64", "512"})
  public int tokens;

  private final Arena arena = Arena.ofShared();
  private final WorkerTeam team =
      new WorkerTeam("bench", Runtime.getRuntime().availableProcessors());
  private final TargetGroup group = TargetGroup.of(0, Projection.Q, Projection.K, Projection.V);
  private final LoraBatch batch = new LoraBatch();
  private LoraExecutor executor;
  private LoraGradients gradients;
  private Tensor x;
  private List<Tensor> outputs;
  private GradientSums sums;

  @Setup(Level.Trial)
  public void open() {
    Map<String, String> options =
        pass.equals("forward") ? Map.of() : Map.of("gradient-order", pass);
    executor =
        Plugins.discover()
            .loraExecutor(Optional.of("cpu-vector"))
            .open(ExecutorConfig.of(team).withOptions(options));
    gradients = executor.gradients().orElseThrow();
    LearningAdapter adapter = new LearningAdapter(arena, group, hidden, rank);
    x = LearningAdapter.tensor(arena, tokens, hidden);
    outputs =
        group.targets().stream()
            .map(target -> LearningAdapter.tensor(arena, tokens, hidden))
            .toList();
    sums = GradientSums.of(LearningAdapter.tensor(arena, tokens, hidden), adapter);
    batch.reset(tokens).beginSegment(adapter);
    for (int token = 0; token < tokens; token++) {
      batch.add(token, 1);
    }
  }

  @Benchmark
  public List<Tensor> run() {
    if (pass.equals("forward")) {
      executor.addDelta(group, batch, x, outputs);
    } else {
      gradients.addGradients(group, batch, x, outputs, sums);
    }
    return outputs;
  }

  @TearDown(Level.Trial)
  public void close() {
    executor.close();
    team.close();
    arena.close();
  }
}
