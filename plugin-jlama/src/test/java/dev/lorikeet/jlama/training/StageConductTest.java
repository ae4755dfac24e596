package dev.lorikeet.jlama.training;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.adapter.AdapterLease;
import dev.lorikeet.executor.FactorGradients;
import dev.lorikeet.executor.LoraBatch;
import dev.lorikeet.host.step.Turns;
import dev.lorikeet.jlama.kernel.WorkerTeam;
import dev.lorikeet.jlama.weights.RandomModel;
import dev.lorikeet.shape.Projection;
import dev.lorikeet.tensor.ElementType;
import dev.lorikeet.tensor.Tensor;
import dev.lorikeet.training.stage.LearnedGradients;
import dev.lorikeet.training.stage.MicroBatch;
import dev.lorikeet.training.stage.OutputGradient;
import dev.lorikeet.training.stage.Retention;
import dev.lorikeet.training.stage.StageOutput;
import dev.lorikeet.training.stage.StageSpan;
import dev.lorikeet.training.stage.TrainingPass;
import java.lang.foreign.Arena;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** What a stage holds, gives back and refuses. */
@Timeout(value = 120, unit = TimeUnit.SECONDS)
class StageConductTest {
  private static final LearnedGradients NOTHING = LearnedGradients.of(FactorGradients.FROZEN);
  private static final int MAX_TOKENS = 40;

  private final Random random = new Random(3);

  @TempDir Path directory;

  private final List<OpenedStage> opened = new ArrayList<>();

  @BeforeEach
  void open() {
    Path model = RandomModel.llama(9).widths(64, 96).layers(3).write(directory.resolve("model"));
    opened.add(OpenedStage.whole(model, 2, MAX_TOKENS));
    opened.add(OpenedStage.of(model, 0, 1, 2, MAX_TOKENS));
  }

  @AfterEach
  void close() {
    opened.forEach(OpenedStage::close);
  }

  private CpuTrainingStage whole() {
    return opened.getFirst().stage();
  }

  private CpuTrainingStage lower() {
    return opened.getLast().stage();
  }

  private static MicroBatch batch(int tokens) {
    return MicroBatch.builder().add(0, new int[tokens]).build();
  }

  private static LoraBatch none(MicroBatch batch) {
    return batch.fill(new LoraBatch(), task -> Optional.empty());
  }

  private static OutputGradient ones(int tokens) {
    float[] coefficients = new float[tokens];
    Arrays.fill(coefficients, 1);
    return new OutputGradient.OfLogProbabilities(coefficients);
  }

  private TrainingPass forward(CpuTrainingStage stage, MicroBatch batch) {
    return stage.forward(batch, none(batch), Optional.empty(), Retention.INPUTS);
  }

  @Test
  void whatPassesHoldIsWhatThePlanSaysAndComesBackOnce() {
    MicroBatch batch = batch(17);
    List<TrainingPass> passes = new ArrayList<>();
    for (int i = 0; i < 5; i++) {
      passes.add(whole().forward(batch, none(batch), Optional.empty(), Retention.layers(2)));
    }
    long each = whole().passBytes(17, Retention.layers(2));
    assertEquals(5 * each, whole().heldBytes());
    passes.forEach(TrainingPass::close);
    passes.forEach(TrainingPass::close);
    long held = whole().heldBytes();
    assertTrue(held <= 5 * each);
    for (int round = 0; round < 20; round++) {
      TrainingPass first = forward(whole(), batch(1 + round));
      TrainingPass second = forward(whole(), batch(MAX_TOKENS));
      first.close();
      second.close();
    }
    long most = 6 * whole().passBytes(MAX_TOKENS, Retention.INPUTS);
    assertTrue(whole().heldBytes() <= most, whole().heldBytes() + " bytes");
    assertTrue(whole().workBytes() > 0);
  }

  @Test
  void moreIsKeptWhereMoreFits() {
    long inputs = whole().passBytes(10, Retention.INPUTS);
    long two = whole().passBytes(10, Retention.layers(2));
    long all = whole().passBytes(10, Retention.ALL);
    long nothing = whole().passBytes(10, Retention.NOTHING);
    assertTrue(nothing < inputs && inputs < two && two < all);
    assertEquals(all, whole().passBytes(10, Retention.layers(3)));
    assertEquals(Retention.INPUTS, Retention.within(whole(), 10, 1, 0));
    assertEquals(Retention.INPUTS, Retention.within(whole(), 10, 2, 2 * inputs));
    assertEquals(Retention.layers(2), Retention.within(whole(), 10, 3, 3 * two));
    assertEquals(Retention.layers(3), Retention.within(whole(), 10, 1, Long.MAX_VALUE));
  }

  @Test
  void passesInFlightDoNotDisturbOneAnother() {
    LearningAdapter adapter =
        LearningAdapter.random(
            "a", opened.getFirst().architecture().shape(), random, Projection.ofLayer());
    List<MicroBatch> batches = new ArrayList<>();
    List<float[]> expected = new ArrayList<>();
    for (int i = 0; i < 3; i++) {
      int[] ids = random.ints(5 + 3 * i, 0, 2048).toArray();
      batches.add(MicroBatch.builder().add(0, ids).build());
      adapter.clearGradients();
      backward(adapter, List.of(batches.get(i)), List.of(0));
      expected.add(adapter.allGradients());
    }
    adapter.clearGradients();
    backward(adapter, batches, List.of(1, 2, 0));
    float[] together = adapter.allGradients();
    for (int i = 0; i < together.length; i++) {
      float sum = expected.get(1)[i] + expected.get(2)[i] + expected.get(0)[i];
      assertEquals(sum, together[i], 1e-4f * (1 + Math.abs(sum)));
    }
  }

  /** All forwards, then the backwards in another order. */
  private void backward(LearningAdapter adapter, List<MicroBatch> batches, List<Integer> order) {
    List<TrainingPass> passes = new ArrayList<>();
    for (int i = 0; i < batches.size(); i++) {
      Optional<AdapterLease> lease = Optional.of(adapter);
      LoraBatch lora = batches.get(i).fill(new LoraBatch(), task -> lease);
      Retention retention = Retention.layers(i);
      passes.add(whole().forward(batches.get(i), lora, Optional.empty(), retention));
    }
    for (int i : order) {
      whole()
          .backward(
              passes.get(i),
              ones(batches.get(i).tokens()),
              LearnedGradients.of(LearningAdapter.gradients()));
      passes.get(i).close();
    }
  }

  @Test
  void aBackwardRunsOnceOnAnOpenPassOfItsStage() {
    MicroBatch batch = batch(4);
    TrainingPass pass = forward(whole(), batch);
    assertThrows(IllegalArgumentException.class, () -> lower().backward(pass, ones(4), NOTHING));
    whole().backward(pass, ones(4), NOTHING);
    assertThrows(IllegalStateException.class, () -> whole().backward(pass, ones(4), NOTHING));
    pass.close();
    TrainingPass closed = forward(whole(), batch);
    closed.close();
    assertThrows(IllegalStateException.class, () -> whole().backward(closed, ones(4), NOTHING));
  }

  @Test
  void aPassThatKeptNothingHasNoBackward() {
    MicroBatch batch = batch(4);
    try (TrainingPass pass =
        whole().forward(batch, none(batch), Optional.empty(), Retention.NOTHING)) {
      assertThrows(IllegalStateException.class, () -> whole().backward(pass, ones(4), NOTHING));
    }
    assertThrows(IllegalArgumentException.class, () -> Retention.layers(-1));
    assertThrows(IllegalArgumentException.class, () -> new Retention(false, 1));
  }

  @Test
  void adaptersThatChangedSinceTheForwardAreRefused() {
    MicroBatch batch = batch(4);
    LoraBatch lora = none(batch);
    try (TrainingPass pass = whole().forward(batch, lora, Optional.empty(), Retention.INPUTS)) {
      lora.reset(4);
      assertThrows(IllegalStateException.class, () -> whole().backward(pass, ones(4), NOTHING));
    }
  }

  @Test
  void gradientsThatDoNotFitTheOutputAreRefused() {
    try (Arena arena = Arena.ofConfined();
        TrainingPass scored = forward(whole(), batch(4));
        TrainingPass hidden = forward(lower(), batch(4))) {
      Tensor four = Tensor.host(arena.allocate(4 * 64 * 4), ElementType.F32, 4, 64);
      Tensor three = Tensor.host(four.segment(), ElementType.F32, 3, 64);
      Tensor narrow = Tensor.host(four.segment(), ElementType.F32, 4, 63);
      assertThrows(
          IllegalArgumentException.class, () -> whole().backward(scored, ones(3), NOTHING));
      assertThrows(
          IllegalArgumentException.class,
          () -> whole().backward(scored, new OutputGradient.OfHidden(four), NOTHING));
      assertThrows(
          IllegalArgumentException.class,
          () ->
              whole()
                  .backward(
                      scored,
                      new OutputGradient.OfLogProbabilities(new float[4], new float[64]),
                      NOTHING));
      for (OutputGradient wrong :
          List.of(
              ones(4), new OutputGradient.OfHidden(three), new OutputGradient.OfHidden(narrow))) {
        assertThrows(
            IllegalArgumentException.class, () -> lower().backward(hidden, wrong, NOTHING));
      }
      assertEquals(
          Optional.empty(), lower().backward(hidden, new OutputGradient.OfHidden(four), NOTHING));
    }
  }

  @Test
  void microBatchesThatDoNotFitAreRefusedAndHoldNothing() {
    long held = whole().heldBytes();
    MicroBatch good = batch(4);
    for (MicroBatch wrong :
        List.of(
            batch(MAX_TOKENS + 1),
            MicroBatch.builder().add(0, new int[] {2048, 1}).build(),
            new MicroBatch(
                new int[] {1, 2}, new int[] {2048, -100}, new int[] {0, 2}, new int[] {0}))) {
      assertThrows(IllegalArgumentException.class, () -> forward(whole(), wrong));
    }
    LoraBatch five = new LoraBatch().reset(5);
    assertThrows(
        IllegalArgumentException.class,
        () -> whole().forward(good, five, Optional.empty(), Retention.INPUTS));
    try (Arena arena = Arena.ofConfined()) {
      Tensor states = Tensor.host(arena.allocate(4 * 64 * 4), ElementType.F32, 4, 64);
      assertThrows(
          IllegalArgumentException.class,
          () -> whole().forward(good, none(good), Optional.of(states), Retention.INPUTS));
    }
    assertEquals(held, whole().heldBytes());
  }

  @Test
  void tokensWithoutALabelHaveNoLogProbabilityAndNoGradient() {
    MicroBatch batch =
        MicroBatch.builder().add(0, new int[] {1, 2, 3}, new int[] {-100, -100, -100}).build();
    LearningAdapter adapter =
        LearningAdapter.random(
            "a", opened.getFirst().architecture().shape(), random, Projection.ofLayer());
    LoraBatch lora = batch.fill(new LoraBatch(), task -> Optional.of(adapter));
    try (TrainingPass pass = whole().forward(batch, lora, Optional.empty(), Retention.INPUTS)) {
      double[] values = ((StageOutput.LogProbabilities) pass.output()).values();
      assertEquals(List.of(0.0, 0.0, 0.0), Arrays.stream(values).boxed().toList());
      whole().backward(pass, ones(3), LearnedGradients.of(LearningAdapter.gradients()));
      assertEquals(0, adapter.gradientNorm());
    }
  }

  @Test
  void aClosedStageComputesNoMoreAndPassesStillClose() {
    TrainingPass pass = forward(whole(), batch(4));
    whole().close();
    pass.close();
    assertThrows(IllegalStateException.class, () -> forward(whole(), batch(4)));
    whole().close();
  }

  @Test
  void aSpanThatTheModelHasNotIsRefused() {
    OpenedStage other = opened.getFirst();
    try (WorkerTeam team = new WorkerTeam("refused", 1)) {
      assertThrows(
          IllegalArgumentException.class,
          () ->
              new CpuTrainingStage(
                  other.architecture(),
                  other.weights(),
                  new StageSpan(2, 4, false, true),
                  new CpuTrainingStage.Resources(team, other.executor(), new Turns()),
                  8));
    }
    assertThrows(IllegalArgumentException.class, () -> new StageSpan(1, 1, false, false));
    assertThrows(IllegalArgumentException.class, () -> new StageSpan(2, 1, true, true));
  }
}
