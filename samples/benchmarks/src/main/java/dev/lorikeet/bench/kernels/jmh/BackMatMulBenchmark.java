package dev.lorikeet.bench.kernels.jmh;

import dev.lorikeet.bench.model.Preset;
import dev.lorikeet.jlama.kernel.BackMatMul;
import dev.lorikeet.jlama.kernel.BackScratch;
import dev.lorikeet.jlama.kernel.Kernels;
import dev.lorikeet.jlama.kernel.Rows;
import dev.lorikeet.jlama.kernel.Shard;
import dev.lorikeet.jlama.kernel.WorkerTeam;
import dev.lorikeet.shape.ModelShape;
import dev.lorikeet.shape.Projection;
import java.lang.foreign.Arena;
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

/**
 * The gradients of the inputs of all linear layers of a 135 M Llama but the last, from those of
 * their outputs: as many multiply-adds as {@link MatMulBenchmark}.
 */
@SuppressWarnings("NullAway.Init") // JMH sets parameters and calls open
@State(Scope.Benchmark)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
public class BackMatMulBenchmark {
  /** The layers that share an input. */
  private static final List<List<Projection>> GROUPS =
      List.of(
          List.of(Projection.DOWN),
          List.of(Projection.GATE, Projection.UP),
          List.of(Projection.O),
          List.of(Projection.Q, Projection.K, Projection.V));

  @Param({"BF16", "F16", "F32", "Q4"})
  public String type;

  @Param({"64", "512"})
  public int tokens;

  private final ModelShape shape = Preset.M135.shape();
  private final List<Product> products = new ArrayList<>();
  private final BackMatMul matMul = Kernels.get().training().matMul();
  private final Phases phases = new Phases();
  private Arena arena;
  private WorkerTeam team;
  private BackScratch scratch;

  private record Product(List<BackMatMul.Term> terms, Rows dx) {}

  @Setup(Level.Trial)
  public void open() {
    arena = Arena.ofShared();
    team = new WorkerTeam("bench", Runtime.getRuntime().availableProcessors());
    scratch = new BackScratch(team.parallelism());
    for (int layer = 0; layer < shape.layers(); layer++) {
      for (List<Projection> group : GROUPS) {
        List<BackMatMul.Term> terms = new ArrayList<>();
        for (Projection projection : group) {
          int out = shape.outFeatures(projection);
          Rows dy = Rows.dense(Operands.floats(arena, (long) tokens * out), tokens, out);
          terms.add(
              new BackMatMul.Term(
                  Operands.matrix(arena, type, out, shape.inFeatures(projection)), dy));
        }
        int in = shape.inFeatures(group.getFirst());
        products.add(new Product(terms, Rows.allocate(arena, tokens, in)));
      }
    }
  }

  @Benchmark
  public Rows multiply() {
    team.run(phases, 0, products.size());
    return products.getLast().dx();
  }

  /** One phase for each input. */
  private final class Phases implements WorkerTeam.Phases {
    @Override
    public int parts(int phase) {
      return 4 * team.parallelism();
    }

    @Override
    public boolean repeatable(int phase) {
      return true;
    }

    @Override
    public void run(int phase, Shard shard) {
      Product product = products.get(phase);
      matMul.multiply(product.terms(), product.dx(), tokens, scratch, shard);
    }
  }

  @TearDown(Level.Trial)
  public void close() {
    team.close();
    scratch.close();
    arena.close();
  }
}
