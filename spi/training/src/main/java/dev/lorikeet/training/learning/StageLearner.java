package dev.lorikeet.training.learning;

import dev.lorikeet.executor.LoraBatch;
import dev.lorikeet.shape.TargetModule;
import dev.lorikeet.tensor.ElementType;
import dev.lorikeet.tensor.Tensor;
import dev.lorikeet.training.optimizer.Optimizer;
import dev.lorikeet.training.stage.LearnedGradients;
import dev.lorikeet.training.stage.MicroBatch;
import dev.lorikeet.training.stage.OutputGradient;
import dev.lorikeet.training.stage.Retention;
import dev.lorikeet.training.stage.StageOutput;
import dev.lorikeet.training.stage.TrainingPass;
import dev.lorikeet.training.stage.TrainingStage;
import dev.lorikeet.training.task.OptimizerSpec;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayDeque;
import java.util.Arrays;
import java.util.Deque;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;

/** Computes on one stage that is the whole model, one micro-batch at a time. */
public final class StageLearner implements Learner {
  private final TrainingStage stage;
  private final Retention retention;
  private final LoraBatch lora = new LoraBatch();
  private final Map<Integer, Joined> tasks = new HashMap<>();
  private final Map<Integer, TrainingPass> passes = new HashMap<>();
  private final Deque<Outcome> outcomes = new ArrayDeque<>();

  private record Joined(List<LearningAdapter> adapters, Optimizer optimizer) {}

  /**
   * Creates a learner.
   *
   * @param stage the whole model; closed by the caller, after the learner
   * @param retention what passes keep for their backward
   */
  public StageLearner(TrainingStage stage, Retention retention) {
    if (!stage.span().embeds() || !stage.span().scores()) {
      throw new IllegalArgumentException(
          "trainer: expected a stage from the embedding to the loss, found " + stage.span());
    }
    this.stage = stage;
    this.retention = retention;
  }

  @Override
  public int maxTokens() {
    return stage.maxTokens();
  }

  @Override
  public float[] rowNorms(TargetModule module) {
    return stage.rowNorms(module);
  }

  @Override
  public Optional<Embeddings> embeddings() {
    return Optional.of(stage::embeddings);
  }

  @Override
  public int window() {
    return 1;
  }

  @Override
  public boolean hasRounds() {
    return false;
  }

  @Override
  public void join(int task, List<LearningAdapter> adapters, OptimizerSpec optimizer) {
    tasks.put(task, new Joined(adapters, Optimizer.of(optimizer)));
  }

  @Override
  public void leave(int task) {
    tasks.remove(task);
  }

  private Joined joined(int task) {
    return Objects.requireNonNull(tasks.get(task), "a task that is in");
  }

  @Override
  public void enter(int number, MicroBatch batch, Set<Integer> complete, int round) {
    batch.fillMixed(lora, task -> joined(task).adapters());
    TrainingPass pass = stage.forward(batch, lora, Optional.empty(), retention);
    passes.put(number, pass);
    outcomes.add(new Outcome.Scored(number, scores(pass)));
  }

  private static StageOutput.LogProbabilities scores(TrainingPass pass) {
    return (StageOutput.LogProbabilities) pass.output();
  }

  @Override
  public Outcome next() {
    return outcomes.remove();
  }

  @Override
  public void goBack(int number, OutputGradient.OfLogProbabilities gradient) {
    try (TrainingPass pass = Objects.requireNonNull(passes.remove(number));
        Arena arena = Arena.ofConfined()) {
      LearnedGradients gradients = LearningAdapter.gradients();
      Optional<Tensor> ofWeights = Optional.empty();
      if (!pass.batch().mixtures().isEmpty()) {
        MemorySegment memory = arena.allocate(ValueLayout.JAVA_FLOAT, lora.entries());
        ofWeights = Optional.of(Tensor.host(memory, ElementType.F32, lora.entries(), 1));
        gradients = gradients.withWeights(ofWeights.get());
      }
      stage.backward(pass, gradient, gradients);
      outcomes.add(
          new Outcome.Through(
              number, ofWeights.map(sums -> byTask(pass.batch(), sums)).orElse(Map.of())));
    }
  }

  /** Returns the gradients of the weights of each task's mixture, in the mixture's order. */
  private Map<Integer, float[]> byTask(MicroBatch batch, Tensor sums) {
    Map<Integer, float[]> found = new HashMap<>();
    batch
        .mixtures()
        .forEach(
            (task, mixture) -> {
              int[] rows = new int[batch.tokens()];
              int[] own = batch.tokensOf(task);
              for (int i = 0; i < own.length; i++) {
                rows[own[i]] = i;
              }
              float[] gradients = new float[mixture.weights().length];
              List<LearningAdapter> adapters = joined(task).adapters();
              for (int s = 0; s < lora.segments(); s++) {
                int adapter = adapters.indexOf(lora.adapter(s));
                for (int e = lora.segmentStart(s); adapter >= 0 && e < lora.segmentEnd(s); e++) {
                  gradients[mixture.place(rows[lora.token(e)], adapter)] =
                      sums.segment().getAtIndex(ValueLayout.JAVA_FLOAT, e);
                }
              }
              found.put(task, gradients);
            });
    return found;
  }

  @Override
  public StageOutput.LogProbabilities score(MicroBatch batch, boolean adapted) {
    batch.fillMixed(lora, task -> adapted ? joined(task).adapters() : List.of());
    try (TrainingPass pass = stage.forward(batch, lora, Optional.empty(), Retention.NOTHING)) {
      return scores(pass);
    }
  }

  @Override
  public double gradientNorm(int task) {
    return LearningAdapter.norm(
        joined(task).adapters().stream()
            .flatMapToDouble(adapter -> Arrays.stream(adapter.squares(stage.workers())))
            .toArray());
  }

  @Override
  public void step(int task, Step step) {
    Joined joined = joined(task);
    joined.adapters().forEach(adapter -> adapter.step(stage.workers(), joined.optimizer(), step));
  }

  @Override
  public void collect(int task) {
    // it is where it is learned
  }

  @Override
  public void close() {
    passes.values().forEach(TrainingPass::close);
    passes.clear();
    outcomes.clear();
    tasks.clear();
  }
}
