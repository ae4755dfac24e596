package dev.lorikeet.jlama.lora;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.lorikeet.adapter.LoraWeights;
import dev.lorikeet.executor.FactorGradients;
import dev.lorikeet.executor.GradientSums;
import dev.lorikeet.executor.LoraBatch;
import dev.lorikeet.executor.LoraExecutor;
import dev.lorikeet.executor.TargetGroup;
import dev.lorikeet.executor.Workers;
import dev.lorikeet.shape.Projection;
import dev.lorikeet.shape.TargetModule;
import dev.lorikeet.tensor.ElementType;
import dev.lorikeet.tensor.Tensor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.SplittableRandom;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

class LoraGradientsTest {
  private static final int CASES = 150;
  private static final long SEED = Long.getLong("lorikeet.test.seed", System.nanoTime());

  @BeforeAll
  static void printSeed() {
    System.out.println("LoraGradientsTest: -Dlorikeet.test.seed=" + SEED);
  }

  @Test
  void bothTwinsAgreeOnAnyShape() {
    List<LoraExecutor> executors = executors(TestWorkers.sequential(2));
    try (LoraExecutor scalar = new ScalarLoraExecutor()) {
      for (long seed = SEED; seed < SEED + CASES; seed++) {
        try (Arena arena = Arena.ofConfined()) {
          GradientCase drawn = GradientCase.random(arena, seed);
          GradientCase.Result expected = drawn.run(scalar, arena);
          for (LoraExecutor executor : executors) {
            drawn.assertClose(expected, drawn.run(executor, arena));
          }
        }
      }
    }
    executors.forEach(LoraExecutor::close);
  }

  /** Returns executors that take the products in every order, and in the cheapest. */
  private static List<LoraExecutor> executors(Workers workers) {
    return List.of(
        new VectorLoraExecutor(workers),
        new VectorLoraExecutor(workers, Optional.of(GradientOrder.RANK)),
        new VectorLoraExecutor(workers, Optional.of(GradientOrder.PRODUCT)));
  }

  @Test
  void theOrderWithFewerMultiplyAddsIsTaken() {
    assertEquals(GradientOrder.RANK, order(576, 576, 64, 512));
    assertEquals(GradientOrder.RANK, order(2048, 2048, 4, 64));
    assertEquals(GradientOrder.PRODUCT, order(64, 64, 64, 512));
    assertEquals(GradientOrder.RANK, order(64, 64, 64, 64));
  }

  private static GradientOrder order(int in, int out, int rank, int entries) {
    try (Arena arena = Arena.ofConfined()) {
      TestAdapter.Builder builder = TestAdapter.builder(arena, new SplittableRandom(SEED));
      LoraWeights weights =
          LoraWeights.of(
              TargetModule.of(0, Projection.O),
              builder.factor(ElementType.F32, in, rank, 1, () -> 0),
              builder.factor(ElementType.F32, out, rank, 1, () -> 0),
              1);
      return GradientOrder.cheapest(weights, entries);
    }
  }

  @Test
  void gradientsDoNotDependOnTheNumberOfShards() {
    List<List<LoraExecutor>> executors = new ArrayList<>();
    for (int shards = 1; shards <= 4; shards++) {
      executors.add(executors(TestWorkers.sequential(shards)));
    }
    executors.add(executors(TestWorkers.concurrent(3)));
    for (long seed = SEED; seed < SEED + CASES; seed++) {
      try (Arena arena = Arena.ofShared()) {
        GradientCase drawn = GradientCase.random(arena, seed);
        for (int order = 0; order < 3; order++) {
          List<Tensor> expected = drawn.run(executors.getFirst().get(order), arena).all();
          for (List<LoraExecutor> team : executors) {
            List<Tensor> found = drawn.run(team.get(order), arena).all();
            GradientCase.assertSameBits(expected, found, "seed " + seed + ", order " + order);
          }
        }
      }
    }
    executors.forEach(team -> team.forEach(LoraExecutor::close));
  }

  @Test
  void anAdaptersGradientsAreTheSameBitsAlone() {
    try (LoraExecutor vector = new VectorLoraExecutor(TestWorkers.sequential(3))) {
      for (long seed = SEED; seed < SEED + CASES; seed++) {
        try (Arena arena = Arena.ofConfined()) {
          GradientCase drawn = GradientCase.random(arena, seed);
          GradientCase.Result together = drawn.run(vector, arena);
          for (TestAdapter adapter : drawn.call.adapters) {
            GradientCase.Result alone = drawn.nothing(arena);
            drawn.run(vector, only(drawn.call.batch, adapter), alone);
            GradientCase.assertSameBits(
                together.of(adapter), alone.of(adapter), "seed " + seed + ", alone");
          }
        }
      }
    }
  }

  private static LoraBatch only(LoraBatch batch, TestAdapter adapter) {
    LoraBatch only = new LoraBatch().reset(batch.tokens());
    for (int s = 0; s < batch.segments(); s++) {
      if (batch.adapter(s) == adapter) {
        only.beginSegment(adapter);
        for (int e = batch.segmentStart(s); e < batch.segmentEnd(s); e++) {
          only.add(batch.token(e), batch.weight(e));
        }
      }
    }
    return only;
  }

  @Test
  void memoryOnTheHeapGivesTheSameBits() {
    try (LoraExecutor vector = new VectorLoraExecutor(Workers.SINGLE);
        Arena arena = Arena.ofConfined()) {
      TargetGroup down = TargetGroup.of(0, Projection.DOWN);
      TestAdapter adapter =
          TestAdapter.builder(arena, new SplittableRandom(SEED))
              .add(down.targets().getFirst(), 33, 17, 3, 1, 1, ElementType.BF16, 1)
              .build("a");
      LoraBatch batch = new LoraBatch().reset(2).beginSegment(adapter).add(1, 0.5f);
      List<float[]> results = new ArrayList<>();
      for (int kind = 0; kind < 2; kind++) {
        SplittableRandom random = new SplittableRandom(SEED);
        boolean heap = kind == 1;
        Tensor x = tensor(arena, heap, 2, 33, random);
        Tensor dy = tensor(arena, heap, 2, 17, random);
        Tensor dx = tensor(arena, heap, 2, 33, random);
        Tensor dw = tensor(arena, heap, 1, 1, random);
        Tensor a = tensor(arena, heap, 3, 33, random);
        Tensor b = tensor(arena, heap, 17, 3, random);
        vector
            .gradients()
            .orElseThrow()
            .addGradients(
                down,
                batch,
                x,
                List.of(dy),
                GradientSums.of(dx, (lease, target) -> Optional.of(new FactorGradients.Sums(a, b)))
                    .withWeights(dw));
        float[] all = new float[0];
        for (Tensor tensor : List.of(dx, dw, a, b)) {
          float[] values = tensor.segment().toArray(ValueLayout.JAVA_FLOAT);
          float[] longer = Arrays.copyOf(all, all.length + values.length);
          System.arraycopy(values, 0, longer, all.length, values.length);
          all = longer;
        }
        results.add(all);
      }
      assertEquals(2 * 33 + 1 + 3 * 33 + 17 * 3, results.getFirst().length);
      assertArrayEquals(results.get(0), results.get(1), "native and heap");
    }
  }

  private static Tensor tensor(
      Arena arena, boolean heap, int rows, int columns, SplittableRandom random) {
    float[] values = new float[rows * columns];
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) random.nextGaussian();
    }
    MemorySegment segment = MemorySegment.ofArray(values);
    return Tensor.host(
        heap ? segment : arena.allocate(segment.byteSize(), 64).copyFrom(segment),
        ElementType.F32,
        rows,
        columns);
  }
}
