package dev.lorikeet.jlama.lora;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.adapter.LoraWeights;
import dev.lorikeet.executor.LoraExecutor;
import dev.lorikeet.executor.MergePlan;
import dev.lorikeet.executor.Workers;
import dev.lorikeet.shape.Projection;
import dev.lorikeet.shape.TargetModule;
import dev.lorikeet.tensor.Device;
import dev.lorikeet.tensor.ElementType;
import dev.lorikeet.tensor.Tensor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Merged weights are the pristine ones plus the mixture, rounded once, whatever came before. */
class LoraMergeTest {
  private static final int CASES = 80;
  private static final long SEED = Long.getLong("lorikeet.test.seed", System.nanoTime());

  @BeforeAll
  static void printSeed() {
    System.out.println("LoraMergeTest: -Dlorikeet.test.seed=" + SEED);
  }

  /** Targets, and adapters that change some of them. */
  private record Model(List<MergePlan.Target> targets, List<TestAdapter> adapters) {
    MergePlan plan(SplittableRandom random) {
      List<MergePlan.Share> mixture = new ArrayList<>();
      for (int n = random.nextInt(adapters.size() + 1); n > 0; n--) {
        TestAdapter adapter = adapters.get(random.nextInt(adapters.size()));
        mixture.add(new MergePlan.Share(adapter, (float) random.nextDouble(-1, 1)));
      }
      return new MergePlan(targets, mixture);
    }

    static Model random(Arena arena, SplittableRandom random, ElementType type) {
      List<MergePlan.Target> targets = new ArrayList<>();
      List<TestAdapter.Builder> builders = new ArrayList<>();
      for (int n = 0; n < 3; n++) {
        builders.add(TestAdapter.builder(arena, random));
      }
      for (Projection projection : Projection.ofLayer().subList(0, 4)) {
        TargetModule module = TargetModule.of(1, projection);
        int blocks = 1 << random.nextInt(3);
        int in = blocks * random.nextInt(1, 80);
        int out = blocks * random.nextInt(1, 30);
        targets.add(
            new MergePlan.Target(
                module,
                weights(arena, random, type, out, in),
                weights(arena, random, type, out, in)));
        for (TestAdapter.Builder builder : builders) {
          if (projection == Projection.Q || random.nextInt(3) > 0) {
            ElementType factors = LoraCase.anyType(random);
            builder.add(
                module,
                in,
                out,
                blocks * random.nextInt(1, 9),
                random.nextBoolean() ? blocks : 1,
                random.nextBoolean() ? blocks : 1,
                factors,
                0.05f);
          }
        }
      }
      return new Model(targets, builders.stream().map(b -> b.build("a")).toList());
    }
  }

  private static Tensor weights(
      Arena arena, SplittableRandom random, ElementType type, int rows, int columns) {
    int stride = columns + random.nextInt(4);
    MemorySegment segment = arena.allocate((long) rows * stride * type.bytes(), type.bytes());
    for (long e = 0; e < (long) rows * stride; e++) {
      double magnitude = random.nextInt(6) == 0 ? 1e-6 : 0.1;
      type.write(segment, e * type.bytes(), (float) (magnitude * random.nextGaussian()));
    }
    return new Tensor(segment, type, rows, columns, stride, Device.HOST);
  }

  @ParameterizedTest
  @EnumSource(ElementType.class)
  void mergedWeightsAreTheReferenceRoundedToNearest(ElementType type) {
    for (LoraExecutor executor :
        List.of(
            new ScalarLoraExecutor(),
            new VectorLoraExecutor(Workers.SINGLE),
            new VectorLoraExecutor(TestWorkers.concurrent(2)))) {
      try (executor) {
        for (int n = 0; n < CASES; n++) {
          SplittableRandom random = new SplittableRandom(SEED + n);
          try (Arena arena = Arena.ofShared()) {
            Model model = Model.random(arena, random, type);
            MergePlan plan = model.plan(random);
            executor.switchMerged(plan);
            for (MergePlan.Target target : plan.targets()) {
              assertRounded(target, plan.mixture(), "seed " + (SEED + n));
            }
          }
        }
      }
    }
  }

  /**
   * The merged weight must be as near to the exact sum as any value of its type, F32 noise aside.
   */
  private static void assertRounded(
      MergePlan.Target target, List<MergePlan.Share> mixture, String what) {
    double[][][] expected = LoraReference.merged(target, mixture);
    ElementType type = target.pristine().type();
    for (int o = 0; o < expected[0].length; o++) {
      for (int j = 0; j < expected[0][o].length; j++) {
        double exact = expected[0][o][j];
        double noise = 2e-6 * expected[1][o][j];
        double found = LoraReference.at(target.merged(), o, j);
        double quantum =
            switch (type) {
              case F32 -> 0x1p-149;
              case BF16 -> 0x1p-133;
              case F16 -> 0x1p-24;
            };
        double step = Math.max(quantum, 2 * type.unitRoundoff() * Math.scalb(1.0, exponent(exact)));
        double error = Math.abs(found - exact);
        assertTrue(
            error <= step / 2 + noise,
            () ->
                "%s: %s: expected %g within %g, found %g"
                    .formatted(what, target.module(), exact, step / 2 + noise, found));
      }
    }
  }

  private static int exponent(double value) {
    return value == 0 ? -1000 : Math.getExponent(value);
  }

  @ParameterizedTest
  @EnumSource(ElementType.class)
  void mergedWeightsDoNotDependOnTheNumberOfShards(ElementType type) {
    for (int n = 0; n < CASES; n++) {
      SplittableRandom random = new SplittableRandom(SEED + n);
      try (Arena arena = Arena.ofShared()) {
        MergePlan plan = Model.random(arena, random, type).plan(random);
        List<MemorySegment> expected = List.of();
        for (int shards = 1; shards <= 4; shards++) {
          try (LoraExecutor executor = new VectorLoraExecutor(TestWorkers.sequential(shards))) {
            executor.switchMerged(plan);
          }
          List<MemorySegment> found =
              plan.targets().stream().map(t -> copy(arena, t.merged())).toList();
          expected = expected.isEmpty() ? found : expected;
          for (int i = 0; i < found.size(); i++) {
            assertEquals(-1, expected.get(i).mismatch(found.get(i)), "seed " + (SEED + n));
          }
        }
      }
    }
  }

  private static MemorySegment copy(Arena arena, Tensor tensor) {
    return arena.allocate(tensor.segment().byteSize(), 64).copyFrom(tensor.segment());
  }

  @ParameterizedTest
  @EnumSource(ElementType.class)
  void tenThousandSwitchesLeaveNoDrift(ElementType type) {
    SplittableRandom random = new SplittableRandom(SEED);
    try (LoraExecutor executor = new VectorLoraExecutor(Workers.SINGLE);
        Arena arena = Arena.ofConfined()) {
      Model model = Model.random(arena, random, type);
      MergePlan first = model.plan(random);
      executor.switchMerged(first);
      List<MemorySegment> before =
          first.targets().stream().map(t -> copy(arena, t.merged())).toList();
      for (int n = 0; n < 10_000; n++) {
        executor.switchMerged(model.plan(random));
      }
      executor.switchMerged(first);
      for (int i = 0; i < before.size(); i++) {
        assertEquals(-1, before.get(i).mismatch(first.targets().get(i).merged().segment()));
      }
      executor.switchMerged(new MergePlan(model.targets(), List.of()));
      for (MergePlan.Target target : model.targets()) {
        assertSameRows(target.pristine(), target.merged());
      }
    }
  }

  @ParameterizedTest
  @EnumSource(ElementType.class)
  void theEmptyMixtureIsACopyWithEveryBit(ElementType type) {
    for (LoraExecutor executor :
        List.of(new ScalarLoraExecutor(), new VectorLoraExecutor(TestWorkers.sequential(2)))) {
      try (executor;
          Arena arena = Arena.ofConfined()) {
        SplittableRandom random = new SplittableRandom(SEED);
        Tensor pristine = weights(arena, random, type, 9, 71);
        for (long b = 0; b < pristine.segment().byteSize(); b++) {
          pristine.segment().set(ValueLayout.JAVA_BYTE, b, (byte) random.nextInt());
        }
        Tensor merged = weights(arena, random, type, 9, 71);
        TargetModule module = TargetModule.of(0, Projection.Q);
        executor.switchMerged(
            new MergePlan(List.of(new MergePlan.Target(module, pristine, merged)), List.of()));
        assertSameRows(pristine, merged);
      }
    }
  }

  private static void assertSameRows(Tensor expected, Tensor found) {
    long bytes = expected.columns() * expected.type().bytes();
    for (long row = 0; row < expected.rows(); row++) {
      MemorySegment a = expected.segment().asSlice(row * expected.rowStrideBytes(), bytes);
      MemorySegment b = found.segment().asSlice(row * found.rowStrideBytes(), bytes);
      assertEquals(-1, a.mismatch(b), "row " + row);
    }
  }

  @ParameterizedTest
  @EnumSource(ElementType.class)
  void everyStoredValueAndEveryTieRoundsAsTheScalarConversionDoes(ElementType type) {
    try (LoraExecutor executor = new VectorLoraExecutor(Workers.SINGLE);
        Arena arena = Arena.ofConfined()) {
      int count = 1 << 16;
      SplittableRandom random = new SplittableRandom(SEED);
      TargetModule module = TargetModule.of(0, Projection.Q);
      TestAdapter.Builder builder = TestAdapter.builder(arena, random);
      float[] changes = new float[count];
      int[] next = {0};
      Tensor pristine = Tensor.host(arena.allocate((long) count * type.bytes()), type, 1, count);
      for (int i = 0; i < count; i++) {
        long offset = (long) i * type.bytes();
        switch (type) {
          case F32 -> type.write(pristine.segment(), offset, (float) random.nextGaussian());
          case BF16, F16 ->
              pristine.segment().set(ValueLayout.JAVA_SHORT_UNALIGNED, offset, (short) i);
        }
        float value = type.read(pristine.segment(), offset);
        float halfStep = (float) (type.unitRoundoff() * Math.scalb(1.0, Math.getExponent(value)));
        changes[i] =
            switch (random.nextInt(3)) {
              case 0 -> halfStep;
              case 1 -> Math.nextUp(halfStep);
              default -> (float) random.nextGaussian();
            };
        changes[i] = Float.isFinite(changes[i]) ? changes[i] : 1;
      }
      builder.add(
          LoraWeights.of(
              module,
              builder.factor(ElementType.F32, count, 1, 1, () -> changes[next[0]++]),
              builder.factor(ElementType.F32, 1, 1, 1, () -> 1),
              1));
      Tensor merged = Tensor.host(arena.allocate((long) count * type.bytes()), type, 1, count);
      executor.switchMerged(
          new MergePlan(
              List.of(new MergePlan.Target(module, pristine, merged)),
              List.of(new MergePlan.Share(builder.build("a"), 1))));
      for (int i = 0; i < count; i++) {
        long offset = (long) i * type.bytes();
        float sum = type.read(pristine.segment(), offset) + changes[i];
        float rounded = type.round(sum);
        float found = type.read(merged.segment(), offset);
        assertEquals(rounded, found, "element " + i + ": " + sum);
      }
    }
  }

  @Test
  void unfitPlansAreRefusedAndLeaveTheWeightsAlone() {
    for (LoraExecutor executor :
        List.of(new ScalarLoraExecutor(), new VectorLoraExecutor(Workers.SINGLE))) {
      try (executor;
          Arena arena = Arena.ofConfined()) {
        SplittableRandom random = new SplittableRandom(SEED);
        TargetModule q = TargetModule.of(0, Projection.Q);
        TargetModule k = TargetModule.of(0, Projection.K);
        TestAdapter adapter =
            TestAdapter.builder(arena, random)
                .add(q, 8, 8, 2, 1, 1, ElementType.F32, 1)
                .add(k, 9, 8, 2, 1, 1, ElementType.F32, 1)
                .build("a");
        List<MergePlan.Share> mixture = List.of(new MergePlan.Share(adapter, 1));
        Tensor pristine = weights(arena, random, ElementType.F32, 8, 8);
        Tensor merged = weights(arena, random, ElementType.F32, 8, 8);
        MemorySegment before = copy(arena, merged);
        MergePlan.Target good = new MergePlan.Target(q, pristine, merged);
        Tensor other = weights(arena, random, ElementType.F32, 8, 8);
        Tensor narrow = weights(arena, random, ElementType.BF16, 8, 8);
        assertRefused(
            executor, "features", good, new MergePlan.Target(k, pristine, other), mixture);
        assertRefused(executor, "type", good, new MergePlan.Target(k, pristine, narrow), List.of());
        assertRefused(executor, "overlap", good, new MergePlan.Target(k, other, other), List.of());
        adapter.close();
        MergePlan plan = new MergePlan(List.of(good), mixture);
        assertThrows(IllegalStateException.class, () -> executor.switchMerged(plan));
        assertEquals(-1, before.mismatch(merged.segment()));
        executor.close();
        MergePlan empty = new MergePlan(List.of(good), List.of());
        assertThrows(IllegalStateException.class, () -> executor.switchMerged(empty));
        assertEquals(-1, before.mismatch(merged.segment()));
      }
    }
  }

  private static void assertRefused(
      LoraExecutor executor,
      String word,
      MergePlan.Target good,
      MergePlan.Target bad,
      List<MergePlan.Share> mixture) {
    MergePlan plan = new MergePlan(List.of(good, bad), mixture);
    var e = assertThrows(IllegalArgumentException.class, () -> executor.switchMerged(plan));
    assertTrue(String.valueOf(e.getMessage()).contains(word), String.valueOf(e.getMessage()));
  }
}
