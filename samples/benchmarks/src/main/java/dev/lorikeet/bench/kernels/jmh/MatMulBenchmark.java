package dev.lorikeet.bench.kernels.jmh;

import dev.lorikeet.bench.model.Preset;
import dev.lorikeet.jlama.kernel.ActivationPanel;
import dev.lorikeet.jlama.kernel.Kernels;
import dev.lorikeet.jlama.kernel.MatMul;
import dev.lorikeet.jlama.kernel.Rows;
import dev.lorikeet.jlama.kernel.Shard;
import dev.lorikeet.jlama.kernel.WeightMatrix;
import dev.lorikeet.jlama.kernel.WorkerTeam;
import dev.lorikeet.shape.ModelShape;
import dev.lorikeet.shape.Projection;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
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

/** All linear layers of a 135 M Llama but the last, one after the other, each weight once. */
@SuppressWarnings("NullAway.Init") // JMH sets parameters and calls open
@State(Scope.Benchmark)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
public class MatMulBenchmark {
  @Param({"BF16", "F16", "F32", "Q4"})
  public String type;

  @Param({"1", "8", "64", "256"})
  public int tokens;

  private final ModelShape shape = Preset.M135.shape();
  private final List<Product> products = new ArrayList<>();
  private final MatMul matMul = Kernels.get().matMul();
  private final Phases phases = new Phases();
  private Arena arena;
  private WorkerTeam team;
  private ActivationPanel panel;
  private MemorySegment y;

  /** All products of as many columns have the same x, and all of as many rows the same y. */
  private record Product(WeightMatrix weights, Rows x, Rows y) {}

  @Setup(Level.Trial)
  public void open() {
    arena = Arena.ofShared();
    team = new WorkerTeam("bench", Runtime.getRuntime().availableProcessors());
    panel = new ActivationPanel(tokens, shape.intermediate(), team.parallelism());
    MemorySegment x = Operands.floats(arena, (long) tokens * shape.intermediate());
    y = arena.allocate((long) tokens * shape.intermediate() * Float.BYTES, 64);
    for (int layer = 0; layer < shape.layers(); layer++) {
      for (Projection projection : Projection.ofLayer()) {
        int out = shape.outFeatures(projection);
        int in = shape.inFeatures(projection);
        products.add(
            new Product(
                Operands.matrix(arena, type, out, in),
                Rows.dense(x, tokens, in),
                Rows.dense(y, tokens, out)));
      }
    }
  }

  @Benchmark
  public MemorySegment multiply() {
    team.run(phases, 0, 2 * products.size());
    return y;
  }

  /** Packs and multiplies in turns. */
  private final class Phases implements WorkerTeam.Phases {
    @Override
    public int parts(int phase) {
      return phase % 2 == 0 ? Math.min(team.parallelism(), tokens) : 4 * team.parallelism();
    }

    @Override
    public boolean repeatable(int phase) {
      return phase % 2 == 1;
    }

    @Override
    public void run(int phase, Shard shard) {
      Product product = products.get(phase / 2);
      if (phase % 2 == 0) {
        matMul.pack(panel, product.x(), tokens, shard);
      } else {
        matMul.multiply(product.weights(), panel, product.y(), shard);
      }
    }
  }

  @TearDown(Level.Trial)
  public void close() {
    team.close();
    panel.close();
    arena.close();
  }
}
