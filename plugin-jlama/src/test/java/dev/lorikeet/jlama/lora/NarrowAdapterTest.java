package dev.lorikeet.jlama.lora;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.Plugins;
import dev.lorikeet.adapter.AdapterLease;
import dev.lorikeet.adapter.AdapterSource;
import dev.lorikeet.adapter.AdapterStore;
import dev.lorikeet.adapter.LoraFactor;
import dev.lorikeet.adapter.LoraWeights;
import dev.lorikeet.adapter.StoreConfig;
import dev.lorikeet.executor.LoraBatch;
import dev.lorikeet.executor.LoraExecutor;
import dev.lorikeet.executor.TargetGroup;
import dev.lorikeet.executor.Workers;
import dev.lorikeet.memory.PagePool;
import dev.lorikeet.memory.PoolConfig;
import dev.lorikeet.shape.ModelShape;
import dev.lorikeet.shape.Projection;
import dev.lorikeet.shape.TargetModule;
import dev.lorikeet.tensor.ElementType;
import dev.lorikeet.tensor.Tensor;
import java.lang.foreign.Arena;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** F32 adapters that a store keeps in 16 bits: their deltas are those of the rounded weights. */
class NarrowAdapterTest {
  private static final ModelShape SHAPE =
      ModelShape.builder()
          .layers(2)
          .hidden(72)
          .intermediate(200)
          .heads(9)
          .kvHeads(3)
          .headDim(8)
          .vocabulary(100)
          .build();
  private static final TargetModule DOWN = TargetModule.of(1, Projection.DOWN);
  private static final int TOKENS = 5;

  private static AdapterStore store(PagePool pool, String elementType) {
    return Plugins.discover()
        .adapterStore(Optional.empty())
        .open(StoreConfig.of(SHAPE, pool).withOptions(Map.of("element-type", elementType)));
  }

  private static double[][] dense(LoraFactor factor, ElementType type) {
    double[][] rows = LoraReference.dense(factor);
    for (double[] row : rows) {
      for (int i = 0; i < row.length; i++) {
        row[i] = type.round((float) row[i]);
      }
    }
    return rows;
  }

  /** Returns {@code scaling * B (A x)} in double, with weights rounded to a type. */
  private static double[][] delta(LoraWeights stored, ElementType type, Tensor x) {
    double[][] a = dense(stored.a(), type);
    double[][] b = dense(stored.b(), type);
    double[][] delta = new double[TOKENS][stored.b().width()];
    for (int t = 0; t < TOKENS; t++) {
      for (int r = 0; r < a.length; r++) {
        double sum = 0;
        for (int i = 0; i < a[r].length; i++) {
          sum += a[r][i] * LoraReference.at(x, t, i);
        }
        for (int o = 0; o < delta[t].length; o++) {
          delta[t][o] += stored.scaling() * sum * b[r][o];
        }
      }
    }
    return delta;
  }

  private static Tensor run(LoraExecutor executor, AdapterLease lease, Tensor x, Arena arena) {
    Tensor y =
        Tensor.host(
            arena.allocate(4L * TOKENS * SHAPE.hidden(), 64),
            ElementType.F32,
            TOKENS,
            SHAPE.hidden());
    LoraBatch batch = new LoraBatch().reset(TOKENS).beginSegment(lease);
    for (int t = 0; t < TOKENS; t++) {
      batch.add(t, 1);
    }
    executor.addDelta(TargetGroup.of(DOWN.layer(), DOWN.projection()), batch, x, List.of(y));
    return y;
  }

  /** Returns the largest distance from a delta. */
  private static double error(Tensor y, double[][] delta) {
    double error = 0;
    for (int t = 0; t < TOKENS; t++) {
      for (int o = 0; o < delta[t].length; o++) {
        error = Math.max(error, Math.abs(LoraReference.at(y, t, o) - delta[t][o]));
      }
    }
    return error;
  }

  @Test
  void servedDeltasAreThoseOfTheRoundedWeights(@TempDir Path folder) {
    Path files = PeftAdapterWriter.write(folder.resolve("a"), 3, 11, SHAPE);
    var source = new AdapterSource("a", files);
    try (Arena arena = Arena.ofConfined();
        PagePool pool =
            Plugins.discover().pagePool(Optional.empty()).open(PoolConfig.ofBytes(4L << 20));
        AdapterStore asStored = store(pool, "stored");
        LoraExecutor scalar = new ScalarLoraExecutor();
        LoraExecutor vector = new VectorLoraExecutor(Workers.SINGLE)) {
      asStored.register(source);
      Tensor x = LoraCase.activations(arena, new SplittableRandom(7), TOKENS, SHAPE.intermediate());
      try (AdapterLease wide = asStored.acquire("a")) {
        LoraWeights stored = wide.weights(DOWN).orElseThrow();
        double[][] unrounded = delta(stored, ElementType.F32, x);
        for (ElementType type : List.of(ElementType.BF16, ElementType.F16)) {
          try (AdapterStore store = store(pool, type == ElementType.BF16 ? "bf16" : "f16")) {
            store.register(source);
            try (AdapterLease lease = store.acquire("a")) {
              assertEquals(type, lease.weights(DOWN).orElseThrow().a().type());
              double[][] rounded = delta(stored, type, x);
              Tensor y = run(scalar, lease, x, arena);
              for (int t = 0; t < TOKENS; t++) {
                for (int o = 0; o < SHAPE.hidden(); o++) {
                  float ulp = Math.ulp((float) rounded[t][o]);
                  assertEquals(rounded[t][o], LoraReference.at(y, t, o), ulp);
                }
              }
              assertTrue(error(y, unrounded) > 100 * error(y, rounded));
              assertTrue(error(run(vector, lease, x, arena), rounded) < 1e-4);
            }
          }
        }
      }
    }
  }
}
