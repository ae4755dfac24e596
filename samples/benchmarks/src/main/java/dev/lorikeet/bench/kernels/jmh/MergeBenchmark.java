package dev.lorikeet.bench.kernels.jmh;

import dev.lorikeet.executor.MergePlan;
import dev.lorikeet.shape.Projection;
import dev.lorikeet.shape.TargetModule;
import dev.lorikeet.tensor.ElementType;
import dev.lorikeet.tensor.Tensor;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
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

/** One switch of all merged weights of a 135 M Llama in BF16, to mixtures of rank 16. */
@SuppressWarnings("NullAway.Init") // JMH sets parameters and calls open
@State(Scope.Benchmark)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
public class MergeBenchmark {
  @Param({"0", "1", "2"})
  public int adapters;

  private LoraState state;
  private MergePlan plan;

  @Setup(Level.Trial)
  public void open() throws IOException {
    state = new LoraState(adapters);
    List<MergePlan.Target> targets = new ArrayList<>();
    for (int layer = 0; layer < state.shape.layers(); layer++) {
      for (Projection projection : Projection.ofLayer()) {
        targets.add(
            new MergePlan.Target(
                TargetModule.of(layer, projection), weights(projection), weights(projection)));
      }
    }
    plan =
        new MergePlan(
            targets, state.adapters.stream().map(a -> new MergePlan.Share(a, 0.5f)).toList());
  }

  private Tensor weights(Projection projection) {
    int rows = state.shape.outFeatures(projection);
    int columns = state.shape.inFeatures(projection);
    return Tensor.host(
        Operands.elements(state.arena, ElementType.BF16, (long) rows * columns),
        ElementType.BF16,
        rows,
        columns);
  }

  @Benchmark
  public MergePlan switchMerged() {
    state.executor.switchMerged(plan);
    return plan;
  }

  @TearDown(Level.Trial)
  public void close() throws IOException {
    state.close();
  }
}
