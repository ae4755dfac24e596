package dev.lorikeet.training.learning;

import dev.lorikeet.executor.LoraBatch;
import dev.lorikeet.shape.TargetModule;
import dev.lorikeet.training.optimizer.Optimizer;
import dev.lorikeet.training.stage.MicroBatch;
import dev.lorikeet.training.stage.OutputGradient;
import dev.lorikeet.training.stage.Retention;
import dev.lorikeet.training.stage.StageOutput;
import dev.lorikeet.training.stage.TrainingPass;
import dev.lorikeet.training.stage.TrainingStage;
import dev.lorikeet.training.task.OptimizerSpec;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.HashMap;
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

  private record Joined(LearningAdapter adapter, Optimizer optimizer) {}

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
  public int window() {
    return 1;
  }

  @Override
  public boolean hasRounds() {
    return false;
  }

  @Override
  public void join(int task, LearningAdapter adapter, OptimizerSpec optimizer) {
    tasks.put(task, new Joined(adapter, Optimizer.of(optimizer)));
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
    batch.fill(lora, task -> Optional.of(joined(task).adapter()));
    TrainingPass pass = stage.forward(batch, lora, Optional.empty(), retention);
    passes.put(number, pass);
    outcomes.add(new Outcome.Scored(number, values(pass)));
  }

  private static double[] values(TrainingPass pass) {
    return ((StageOutput.LogProbabilities) pass.output()).values();
  }

  @Override
  public Outcome next() {
    return outcomes.remove();
  }

  @Override
  public void goBack(int number, float[] coefficients) {
    try (TrainingPass pass = Objects.requireNonNull(passes.remove(number))) {
      stage.backward(
          pass, new OutputGradient.OfLogProbabilities(coefficients), LearningAdapter.gradients());
    }
    outcomes.add(new Outcome.Through(number));
  }

  @Override
  public double[] score(MicroBatch batch, boolean adapted) {
    batch.fill(lora, task -> adapted ? Optional.of(joined(task).adapter()) : Optional.empty());
    try (TrainingPass pass = stage.forward(batch, lora, Optional.empty(), Retention.NOTHING)) {
      return values(pass);
    }
  }

  @Override
  public double gradientNorm(int task) {
    return LearningAdapter.norm(joined(task).adapter().squares(stage.workers()));
  }

  @Override
  public void step(int task, Step step) {
    Joined joined = joined(task);
    joined.adapter().step(stage.workers(), joined.optimizer(), step);
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
