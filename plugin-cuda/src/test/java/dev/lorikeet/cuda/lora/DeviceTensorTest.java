package dev.lorikeet.cuda.lora;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.cuda.driver.CudaGraph;
import dev.lorikeet.cuda.emulation.EmulatedDriver;
import dev.lorikeet.executor.ExecutorConfig;
import dev.lorikeet.executor.LoraBatch;
import dev.lorikeet.executor.TargetGroup;
import dev.lorikeet.executor.Workers;
import dev.lorikeet.shape.Projection;
import dev.lorikeet.shape.TargetModule;
import dev.lorikeet.tensor.ElementType;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Deltas on tensors that live on the device, by every kernel, against sums in double. */
class DeviceTensorTest {
  private static final TargetGroup QKV =
      TargetGroup.of(1, Projection.Q, Projection.K, Projection.V);
  private static final TargetGroup DOWN = TargetGroup.of(0, Projection.DOWN);

  private final long seed = Long.getLong("lorikeet.cuda.seed", System.nanoTime());
  private final Random random = new Random(seed);
  private final List<RandomAdapter> adapters = new ArrayList<>();
  private CudaLoraExecutor executor = open(Map.of());

  @BeforeAll
  static void emulate() {
    EmulatedDriver.install();
  }

  @BeforeEach
  void sayTheSeed() {
    System.out.println("-Dlorikeet.cuda.seed=" + seed);
  }

  @AfterEach
  void close() {
    executor.close();
    adapters.forEach(RandomAdapter::close);
  }

  private static CudaLoraExecutor open(Map<String, String> options) {
    EmulatedDriver.install();
    Map<String, String> all = new java.util.HashMap<>(Map.of("memory-mib", "8"));
    all.putAll(options);
    return (CudaLoraExecutor)
        new CudaLoraExecutorProvider().open(ExecutorConfig.of(Workers.SINGLE).withOptions(all));
  }

  private void reopen(Map<String, String> options) {
    executor.close();
    executor = open(options);
  }

  private RandomAdapter adapter(TargetGroup group, ElementType type, int rank, int in, int[] outs) {
    RandomAdapter adapter = new RandomAdapter(random);
    for (int i = 0; i < outs.length; i++) {
      adapter.with(group.targets().get(i), type, rank, in, outs[i]);
    }
    adapters.add(adapter);
    return adapter;
  }

  /** Spreads tokens over segments at random, each token in up to {@code most} of them. */
  private LoraBatch batch(int tokens, int most, List<RandomAdapter> choices) {
    LoraBatch batch = new LoraBatch().reset(tokens);
    boolean[][] uses = new boolean[choices.size()][tokens];
    for (int t = 0; t < tokens; t++) {
      for (int i = random.nextInt(most + 1); i > 0; i--) {
        uses[random.nextInt(choices.size())][t] = true;
      }
    }
    for (int a = 0; a < choices.size(); a++) {
      batch.beginSegment(choices.get(a));
      for (int t = 0; t < tokens; t++) {
        if (uses[a][t]) {
          batch.add(t, random.nextFloat() - 0.3f);
        }
      }
    }
    return batch;
  }

  private void runAndCheck(
      String what,
      TargetGroup group,
      ElementType type,
      LoraBatch batch,
      int in,
      int[] outs,
      int padding) {
    try (DeviceCase c =
        new DeviceCase(executor, random, group, type, batch.tokens(), in, outs, padding)) {
      c.run(batch);
      c.check(what, batch);
    }
  }

  @Test
  void everyActivationTypeWorksWithEveryWeightType() {
    int[] outs = {72, 24, 40};
    for (String fuse : List.of("never", "always")) {
      reopen(Map.of("fuse", fuse));
      for (ElementType type : ElementType.values()) {
        List<RandomAdapter> choices = new ArrayList<>();
        for (ElementType weights : ElementType.values()) {
          choices.add(adapter(QKV, weights, 1 + random.nextInt(20), 104, outs));
        }
        runAndCheck(type + ", fuse " + fuse, QKV, type, batch(11, 3, choices), 104, outs, 8);
      }
    }
    assertTrue(EmulatedDriver.launches("sgmv_shrink_bf16") > 0);
    assertTrue(EmulatedDriver.launches("sgmv_fused_f16") > 0);
  }

  @Test
  void tensorCoresTakeLargeGroupsAndMixturesOfThem() {
    int[] outs = {264, 40, 8};
    for (ElementType type : List.of(ElementType.BF16, ElementType.F16)) {
      int before =
          EmulatedDriver.launches(
              "sgmv_expand_mma_" + type.name().toLowerCase(java.util.Locale.ROOT));
      List<RandomAdapter> choices =
          List.of(
              adapter(QKV, type, 16, 200, outs),
              adapter(QKV, type, 37, 200, outs),
              adapter(QKV, type, 1, 200, outs));
      runAndCheck("matrix " + type, QKV, type, batch(75, 2, choices), 200, outs, 8);
      assertTrue(
          EmulatedDriver.launches(
                  "sgmv_expand_mma_" + type.name().toLowerCase(java.util.Locale.ROOT))
              > before);
    }
  }

  @Test
  void sizesAndStridesOffTheVectorWidthAreRight() {
    for (int round = 0; round < 4; round++) {
      int in = 1 + random.nextInt(70);
      int[] outs = {1 + random.nextInt(70), 1 + random.nextInt(9), 1 + random.nextInt(33)};
      for (ElementType type : ElementType.values()) {
        List<RandomAdapter> choices =
            List.of(
                adapter(QKV, type, 1 + random.nextInt(9), in, outs),
                adapter(QKV, type, 5, in, outs));
        runAndCheck("sizes " + in, QKV, type, batch(9, 2, choices), in, outs, random.nextInt(10));
      }
    }
  }

  @Test
  void blockDiagonalFactorsAreTakenAsDenseOnesWithZeros() {
    TargetModule down = DOWN.targets().getFirst();
    List<RandomAdapter> choices = new ArrayList<>();
    for (int[] shape : new int[][] {{1, 2}, {4, 1}, {2, 4}, {4, 4}}) {
      RandomAdapter adapter =
          new RandomAdapter(random).with(down, ElementType.BF16, 8, 60, 36, shape[0], shape[1]);
      adapters.add(adapter);
      choices.add(adapter);
    }
    for (ElementType type : ElementType.values()) {
      runAndCheck("blocks", DOWN, type, batch(12, 3, choices), 60, new int[] {36}, 4);
    }
  }

  @Test
  void factorsThatCoverManySmallPagesAreRead() {
    reopen(Map.of("page-bytes", "4096"));
    int[] outs = {1500};
    List<RandomAdapter> choices =
        List.of(
            adapter(DOWN, ElementType.BF16, 24, 1200, outs),
            adapter(DOWN, ElementType.F32, 9, 1200, outs));
    runAndCheck("pages", DOWN, ElementType.BF16, batch(20, 2, choices), 1200, outs, 0);
  }

  @Test
  void aLayerOfFullSizeIsRight() {
    int[] outs = {4096};
    for (String fuse : List.of("never", "always")) {
      reopen(Map.of("fuse", fuse, "memory-mib", "64"));
      LoraBatch batch = new LoraBatch().reset(60);
      int token = 0;
      for (int rank : new int[] {16, 8, 64, 32, 5}) {
        RandomAdapter adapter = adapter(DOWN, ElementType.BF16, rank, 4096, outs);
        batch.beginSegment(adapter);
        for (int i = rank == 64 ? 40 : rank == 8 ? 3 : 1; i > 0; i--) {
          batch.add(token++, random.nextFloat() - 0.3f);
        }
      }
      runAndCheck("full size, fuse " + fuse, DOWN, ElementType.BF16, batch, 4096, outs, 0);
    }
  }

  @Test
  void theLargestRankIsTaken() {
    int[] outs = {40};
    List<RandomAdapter> choices =
        List.of(
            adapter(DOWN, ElementType.BF16, 256, 64, outs),
            adapter(DOWN, ElementType.BF16, 3, 64, outs));
    runAndCheck("rank", DOWN, ElementType.BF16, batch(40, 1, choices), 64, outs, 0);
    runAndCheck("rank", DOWN, ElementType.F32, batch(6, 2, choices), 64, outs, 0);
  }

  @Test
  void adaptersThatDoNotFitTogetherTakeTurnsAndStayRight() {
    reopen(Map.of("page-bytes", "4096", "memory-mib", "1"));
    int[] outs = {512};
    List<RandomAdapter> choices = new ArrayList<>();
    for (int i = 0; i < 8; i++) {
      choices.add(adapter(DOWN, ElementType.F32, 64, 512, outs));
    }
    for (int round = 0; round < 6; round++) {
      List<RandomAdapter> some =
          List.of(choices.get(random.nextInt(8)), choices.get(random.nextInt(8)));
      runAndCheck("turn " + round, DOWN, ElementType.F32, batch(3, 2, some), 512, outs, 0);
    }
    assertTrue(executor.cache().evictions() > 0, "something had to go");
    LorikeetException refusal =
        assertThrows(
            LorikeetException.class,
            () -> runAndCheck("all", DOWN, ElementType.F32, all(choices), 512, outs, 0));
    assertEquals(LorikeetException.Code.POOL_EXHAUSTED, refusal.code());
    runAndCheck("after", DOWN, ElementType.F32, all(choices.subList(2, 4)), 512, outs, 0);
  }

  private static LoraBatch all(List<RandomAdapter> choices) {
    LoraBatch batch = new LoraBatch().reset(choices.size());
    for (int i = 0; i < choices.size(); i++) {
      batch.beginSegment(choices.get(i)).add(i, 1);
    }
    return batch;
  }

  @Test
  void anAdapterLargerThanThePoolIsRefused() {
    reopen(Map.of("page-bytes", "4096", "memory-mib", "1"));
    RandomAdapter large = adapter(DOWN, ElementType.F32, 256, 1024, new int[] {512});
    LorikeetException refusal =
        assertThrows(
            LorikeetException.class,
            () ->
                runAndCheck(
                    "large", DOWN, ElementType.F32, all(List.of(large)), 1024, new int[] {512}, 0));
    assertEquals(LorikeetException.Code.TOO_LARGE, refusal.code());
  }

  @Test
  void aCapturedStepGivesWhatTheCallsGive() {
    int[] outs = {40, 40, 40};
    List<RandomAdapter> choices =
        List.of(
            adapter(QKV, ElementType.BF16, 8, 64, outs),
            adapter(QKV, ElementType.BF16, 5, 64, outs));
    LoraBatch batch = batch(30, 2, choices);
    // Once without capture, so that buffers have grown and adapters are on the device.
    runAndCheck("warm", QKV, ElementType.BF16, batch, 64, outs, 0);
    try (DeviceCase c = new DeviceCase(executor, random, QKV, ElementType.BF16, 30, 64, outs, 0)) {
      int allocations = EmulatedDriver.allocations();
      try (CudaGraph graph = executor.stream().capture(() -> c.run(batch))) {
        executor.stream().launch(graph);
        c.check("captured", batch);
      }
      assertEquals(allocations, EmulatedDriver.allocations(), "a warm call allocates nothing");
    }
  }

  @Test
  void launchesThatOverlapReadWhatTheOnesBeforeWrote() {
    int[] outs = {72};
    for (String fuse : List.of("never", "always")) {
      for (String overlap : List.of("auto", "never")) {
        reopen(Map.of("fuse", fuse, "overlap", overlap));
        for (int tokens : new int[] {3, 40}) {
          for (ElementType type : List.of(ElementType.F32, ElementType.BF16)) {
            RandomAdapter dense = adapter(DOWN, type, 8, 72, outs);
            RandomAdapter blocks =
                new RandomAdapter(random).with(DOWN.targets().getFirst(), type, 8, 72, 72, 2, 2);
            adapters.add(blocks);
            LoraBatch batch = batch(tokens, 2, List.of(dense, blocks));
            String what = type + ", " + tokens + " tokens, fuse " + fuse + ", overlap " + overlap;
            try (DeviceCase first =
                    new DeviceCase(executor, random, DOWN, type, tokens, 72, outs, 8);
                DeviceCase second = new DeviceCase(random, DOWN, first, outs);
                DeviceCase third = new DeviceCase(random, DOWN, second, outs)) {
              int before = EmulatedDriver.overlapped();
              first.run(batch);
              second.run(batch);
              third.run(batch);
              first.check("first, " + what, batch);
              second.check("second, " + what, batch);
              third.check("third, " + what, batch);
              if (batch.entries() > 0 && overlap.equals("auto")) {
                assertTrue(EmulatedDriver.overlapped() > before, "nothing overlapped: " + what);
              }
            }
          }
        }
      }
    }
  }

  @Test
  void aStepCanBeCapturedThoughItLeavesModulesOfItsAdaptersUnused() {
    int[] outs = {40, 40, 40};
    RandomAdapter adapter = adapter(QKV, ElementType.BF16, 8, 64, outs);
    adapter.with(DOWN.targets().getFirst(), ElementType.BF16, 8, 64, 40);
    LoraBatch batch = all(List.of(adapter));
    runAndCheck("warm", QKV, ElementType.BF16, batch, 64, outs, 0);
    try (DeviceCase c = new DeviceCase(executor, random, QKV, ElementType.BF16, 1, 64, outs, 0);
        CudaGraph graph = executor.stream().capture(() -> c.run(batch))) {
      executor.stream().launch(graph);
      c.check("captured", batch);
    }
  }

  @Test
  void aBatchThatWasNeverRunIsNotCapturedAndRunsAfterwards() {
    int[] outs = {40};
    LoraBatch batch = all(List.of(adapter(DOWN, ElementType.F16, 8, 64, outs)));
    try (DeviceCase c = new DeviceCase(executor, random, DOWN, ElementType.F16, 1, 64, outs, 0)) {
      assertThrows(
          IllegalStateException.class, () -> executor.stream().capture(() -> c.run(batch)));
      c.run(batch);
      c.check("after a refusal", batch);
    }
  }

  @Test
  void aBrokenAdapterSpoilsNoTokenThatDoesNotUseIt() {
    int[] outs = {40};
    for (String fuse : List.of("never", "always")) {
      for (int blocks : new int[] {1, 4}) {
        reopen(Map.of("fuse", fuse));
        RandomAdapter sound = adapter(DOWN, ElementType.BF16, 8, 64, outs);
        RandomAdapter broken =
            new RandomAdapter(random)
                .with(DOWN.targets().getFirst(), ElementType.BF16, 8, 64, 40, 1, blocks);
        adapters.add(broken);
        // All bits set: NaN.
        broken.weights(DOWN.targets().getFirst()).orElseThrow().b().memory().fill((byte) -1);
        LoraBatch batch = new LoraBatch().reset(3);
        batch.beginSegment(sound).add(0, 1).add(1, 1).add(2, 1);
        batch.beginSegment(broken).add(1, 1);
        try (DeviceCase c =
            new DeviceCase(executor, random, DOWN, ElementType.BF16, 3, 64, outs, 0)) {
          c.run(batch);
          c.check("beside NaN, fuse " + fuse, batch, t -> t != 1);
        }
      }
    }
  }

  @Test
  void aClosedLeaseIsRefused() {
    int[] outs = {40};
    RandomAdapter adapter = adapter(DOWN, ElementType.F32, 4, 64, outs);
    try (DeviceCase c = new DeviceCase(executor, random, DOWN, ElementType.F32, 1, 64, outs, 0)) {
      adapter.close();
      assertThrows(IllegalStateException.class, () -> c.run(all(List.of(adapter))));
    }
  }
}
