package dev.lorikeet.bench.kernels.jmh;

import dev.lorikeet.executor.LoraBatch;
import dev.lorikeet.executor.TargetGroup;
import dev.lorikeet.shape.Projection;
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

/** Shrink and expand on all projections of all layers of a 135 M Llama, rank 16, BF16. */
@SuppressWarnings("NullAway.Init") // JMH sets parameters and calls open
@State(Scope.Benchmark)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
public class LoraBenchmark {
  /** Tokens and the adapters that they use in turn. */
  @Param({"1/1", "8/1", "8/8", "64/8", "256/1"})
  public String batch;

  private final List<TargetGroup> groups = new ArrayList<>();
  private final List<Tensor> inputs = new ArrayList<>();
  private final List<List<Tensor>> outputs = new ArrayList<>();
  private final LoraBatch lora = new LoraBatch();
  private LoraState state;

  /** Returns the tokens of a batch. */
  public static int tokens(String batch) {
    return Integer.parseInt(batch.substring(0, batch.indexOf('/')));
  }

  /** Returns the adapters of a batch. */
  public static int adapters(String batch) {
    return Integer.parseInt(batch.substring(batch.indexOf('/') + 1));
  }

  @Setup(Level.Trial)
  public void open() throws IOException {
    int tokens = tokens(batch);
    int count = adapters(batch);
    state = new LoraState(count);
    for (int layer = 0; layer < state.shape.layers(); layer++) {
      groups.add(TargetGroup.of(layer, Projection.Q, Projection.K, Projection.V));
      groups.add(TargetGroup.of(layer, Projection.O));
      groups.add(TargetGroup.of(layer, Projection.GATE, Projection.UP));
      groups.add(TargetGroup.of(layer, Projection.DOWN));
    }
    for (TargetGroup group : groups.subList(0, 4)) {
      inputs.add(tensor(tokens, state.shape.inFeatures(group.projections().getFirst())));
      outputs.add(
          group.projections().stream()
              .map(projection -> tensor(tokens, state.shape.outFeatures(projection)))
              .toList());
    }
    lora.reset(tokens);
    for (int adapter = 0; adapter < count; adapter++) {
      lora.beginSegment(state.adapters.get(adapter));
      for (int token = adapter; token < tokens; token += count) {
        lora.add(token, 1);
      }
    }
  }

  private Tensor tensor(int tokens, int columns) {
    return Tensor.host(
        Operands.floats(state.arena, (long) tokens * columns), ElementType.F32, tokens, columns);
  }

  @Benchmark
  public List<List<Tensor>> addDelta() {
    for (int g = 0; g < groups.size(); g++) {
      state.executor.addDelta(groups.get(g), lora, inputs.get(g % 4), outputs.get(g % 4));
    }
    return outputs;
  }

  @TearDown(Level.Trial)
  public void close() throws IOException {
    state.close();
  }
}
