package dev.lorikeet.jlama.lora;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.executor.LoraBatch;
import dev.lorikeet.executor.LoraExecutor;
import dev.lorikeet.executor.TargetGroup;
import dev.lorikeet.executor.Workers;
import dev.lorikeet.shape.Projection;
import dev.lorikeet.shape.TargetModule;
import dev.lorikeet.tensor.Device;
import dev.lorikeet.tensor.ElementType;
import dev.lorikeet.tensor.Tensor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.management.ManagementFactory;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Deltas agree with the double reference, between twins, and bit for bit where they must. */
class LoraDeltaTest {
  private static final int CASES = 400;

  /** Rounds of 1,000 calls in which the compiler has to get round to the kernels. */
  private static final int ROUNDS = 400;

  private static final long SEED = Long.getLong("lorikeet.test.seed", System.nanoTime());

  @BeforeAll
  static void printSeed() {
    System.out.println("LoraDeltaTest: -Dlorikeet.test.seed=" + SEED);
  }

  @Test
  void scalarDeltasEqualTheReference() {
    try (LoraExecutor scalar = new ScalarLoraExecutor()) {
      for (long seed = SEED; seed < SEED + CASES; seed++) {
        try (Arena arena = Arena.ofConfined()) {
          LoraCase drawn = LoraCase.random(arena, seed);
          drawn.assertMatchesReference(drawn.run(scalar, arena));
        }
      }
    }
  }

  @Test
  void vectorDeltasEqualTheReference() {
    try (LoraExecutor vector = new VectorLoraExecutor(Workers.SINGLE)) {
      for (long seed = SEED; seed < SEED + CASES; seed++) {
        try (Arena arena = Arena.ofConfined()) {
          LoraCase drawn = LoraCase.random(arena, seed);
          drawn.assertMatchesReference(drawn.run(vector, arena));
        }
      }
    }
  }

  @Test
  void deltasDoNotDependOnTheNumberOfShardsOrOnTheSplit() {
    List<VectorLoraExecutor> executors = new ArrayList<>();
    for (int shards = 1; shards <= 4; shards++) {
      executors.add(new VectorLoraExecutor(TestWorkers.sequential(shards)));
    }
    executors.add(new VectorLoraExecutor(TestWorkers.concurrent(3)));
    int splits = 0;
    for (long seed = SEED; seed < SEED + CASES; seed++) {
      try (Arena arena = Arena.ofShared()) {
        LoraCase drawn = LoraCase.random(arena, seed);
        List<Tensor> expected = drawn.run(executors.getFirst(), arena);
        for (VectorLoraExecutor executor : executors) {
          for (DeltaCall.Split split : DeltaCall.Split.values()) {
            executor.force(split);
            List<Tensor> found = drawn.run(executor, arena);
            drawn.assertSameBits(expected, found, split.toString());
            splits++;
          }
        }
      }
    }
    assertEquals(CASES * executors.size() * 3, splits);
    executors.forEach(VectorLoraExecutor::close);
  }

  @Test
  void aTokensDeltaDoesNotDependOnTheRestOfTheBatch() {
    try (LoraExecutor vector = new VectorLoraExecutor(TestWorkers.sequential(2))) {
      for (long seed = SEED; seed < SEED + CASES; seed++) {
        try (Arena arena = Arena.ofConfined()) {
          LoraCase drawn = LoraCase.random(arena, seed);
          List<Tensor> together = drawn.run(vector, arena);
          List<Tensor> alone = drawn.copyOfOutputs(arena);
          for (int t = 0; t < drawn.batch.tokens(); t++) {
            vector.addDelta(drawn.targets, only(drawn.batch, t), drawn.x, alone);
          }
          drawn.assertSameBits(together, alone, "alone");
        }
      }
    }
  }

  private static LoraBatch only(LoraBatch batch, int token) {
    LoraBatch only = new LoraBatch().reset(batch.tokens());
    for (int s = 0; s < batch.segments(); s++) {
      only.beginSegment(batch.adapter(s));
      for (int e = batch.segmentStart(s); e < batch.segmentEnd(s); e++) {
        if (batch.token(e) == token) {
          only.add(token, batch.weight(e));
        }
      }
    }
    return only;
  }

  @Test
  void memoryOnTheHeapIsTakenToo() {
    try (LoraExecutor vector = new VectorLoraExecutor(TestWorkers.sequential(2));
        Arena arena = Arena.ofConfined()) {
      SplittableRandom random = new SplittableRandom(SEED);
      TargetGroup down = TargetGroup.of(0, Projection.DOWN);
      TestAdapter adapter =
          TestAdapter.builder(arena, random)
              .add(down.targets().getFirst(), 33, 17, 3, 1, 1, ElementType.BF16, 1)
              .build("a");
      LoraBatch batch = new LoraBatch().reset(2).beginSegment(adapter).add(1, 1);
      float[] values = new float[66];
      for (int i = 0; i < values.length; i++) {
        values[i] = (float) random.nextGaussian();
      }
      Tensor x = Tensor.host(MemorySegment.ofArray(values), ElementType.F32, 2, 33);
      Tensor y = Tensor.host(MemorySegment.ofArray(new float[34]), ElementType.F32, 2, 17);
      LoraCase drawn = new LoraCase("heap", down, batch, x, List.of(y), List.of(adapter));
      List<Tensor> found =
          List.of(Tensor.host(MemorySegment.ofArray(new float[34]), ElementType.F32, 2, 17));
      vector.addDelta(down, batch, x, found);
      drawn.assertMatchesReference(found);
    }
  }

  @ParameterizedTest
  @EnumSource(ElementType.class)
  void infiniteAndUndefinedInputsStayInTheirToken(ElementType type) {
    assertSpecialInputsStay(new ScalarLoraExecutor(), type);
    assertSpecialInputsStay(new VectorLoraExecutor(Workers.SINGLE), type);
  }

  private static void assertSpecialInputsStay(LoraExecutor executor, ElementType type) {
    try (executor;
        Arena arena = Arena.ofConfined()) {
      SplittableRandom random = new SplittableRandom(SEED);
      TargetGroup group = TargetGroup.of(0, Projection.O);
      TestAdapter adapter =
          TestAdapter.builder(arena, random)
              .add(group.targets().getFirst(), 100, 70, 5, 1, 1, type, 1)
              .build("a");
      LoraBatch batch = new LoraBatch().reset(5).beginSegment(adapter);
      for (int t = 0; t < 5; t++) {
        batch.add(t, t == 4 ? 0 : 1);
      }
      Tensor x = LoraCase.activations(arena, random, 5, 100);
      Tensor y = LoraCase.activations(arena, random, 5, 70);
      set(x, 1, 99, Float.NaN);
      set(x, 2, 3, Float.POSITIVE_INFINITY);
      set(x, 4, 50, Float.NEGATIVE_INFINITY);
      executor.addDelta(group, batch, x, List.of(y));
      for (int o = 0; o < 70; o++) {
        assertTrue(Float.isFinite(LoraReference.at(y, 0, o)), "token 0");
        assertTrue(Float.isNaN(LoraReference.at(y, 1, o)), "token 1 has a NaN");
        assertTrue(!Float.isFinite(LoraReference.at(y, 2, o)), "token 2 has an infinity");
        assertTrue(Float.isFinite(LoraReference.at(y, 3, o)), "token 3");
        assertTrue(Float.isNaN(LoraReference.at(y, 4, o)), "zero times infinity");
      }
    }
  }

  private static void set(Tensor tensor, long row, long column, float value) {
    ElementType.F32.write(tensor.segment(), 4 * (row * tensor.rowStride() + column), value);
  }

  @Test
  void steadyCallsAllocateNothing() {
    var threads = (com.sun.management.ThreadMXBean) ManagementFactory.getThreadMXBean();
    try (VectorLoraExecutor vector = new VectorLoraExecutor(TestWorkers.sequential(2));
        Arena arena = Arena.ofConfined()) {
      SplittableRandom random = new SplittableRandom(SEED);
      TargetGroup group = TargetGroup.of(0, Projection.Q, Projection.K, Projection.V);
      LoraBatch batch = new LoraBatch();
      List<TestAdapter> adapters = new ArrayList<>();
      for (ElementType type : ElementType.values()) {
        TestAdapter.Builder builder = TestAdapter.builder(arena, random);
        for (TargetModule target : group.targets()) {
          builder.add(target, 65, 49, 6, 1, 1, type, 1);
        }
        adapters.add(builder.build(type.toString()));
      }
      Tensor x = LoraCase.activations(arena, random, 6, 65);
      List<Tensor> y =
          List.of(
              LoraCase.activations(arena, random, 6, 49),
              LoraCase.activations(arena, random, 6, 49),
              LoraCase.activations(arena, random, 6, 49));
      for (DeltaCall.Split split : DeltaCall.Split.values()) {
        vector.force(split);
        Runnable step =
            () -> {
              batch.reset(6);
              for (int s = 0; s < 3; s++) {
                batch.beginSegment(adapters.get(s)).add(2 * s, 0.1f).add(2 * s + 1, 0.1f);
              }
              vector.addDelta(group, batch, x, y);
            };
        long allocated = Long.MAX_VALUE;
        for (int round = 0; round < ROUNDS && allocated > 0; round++) {
          long before = threads.getCurrentThreadAllocatedBytes();
          for (int i = 0; i < 1_000; i++) {
            step.run();
          }
          allocated = threads.getCurrentThreadAllocatedBytes() - before;
        }
        assertEquals(0, allocated, split + ": bytes that 1,000 calls allocated once compiled");
      }
    }
  }

  @Test
  void executorsLiveOnTheHostAndMergeEveryElementType() {
    for (LoraExecutor executor :
        List.of(new ScalarLoraExecutor(), new VectorLoraExecutor(Workers.SINGLE))) {
      try (executor) {
        assertEquals(Device.HOST, executor.device());
        for (ElementType type : ElementType.values()) {
          assertTrue(executor.takesWeights(type));
          assertTrue(executor.merges(type, Device.HOST));
          assertEquals(false, executor.merges(type, new Device("cuda", 0)));
        }
      }
    }
  }
}
