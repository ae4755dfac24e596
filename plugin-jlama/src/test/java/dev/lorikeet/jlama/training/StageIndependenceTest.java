package dev.lorikeet.jlama.training;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.executor.LoraBatch;
import dev.lorikeet.jlama.weights.RandomModel;
import dev.lorikeet.shape.ModelShape;
import dev.lorikeet.shape.Projection;
import dev.lorikeet.tensor.ElementType;
import dev.lorikeet.tensor.Tensor;
import dev.lorikeet.training.stage.LearnedGradients;
import dev.lorikeet.training.stage.MicroBatch;
import dev.lorikeet.training.stage.OutputGradient;
import dev.lorikeet.training.stage.Retention;
import dev.lorikeet.training.stage.StageOutput;
import dev.lorikeet.training.stage.TrainingPass;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/**
 * A task gets the same bits in any company, on any number of threads, in any number of stages, and
 * whatever is kept.
 */
@Timeout(value = 120, unit = TimeUnit.SECONDS)
class StageIndependenceTest {
  private static final int MAX_TOKENS = 300;

  private final long seed = Long.getLong("lorikeet.seed", System.nanoTime());
  private final Random random = new Random(seed);

  @TempDir Path directory;

  private Path model = Path.of("");

  @BeforeEach
  void write() {
    model =
        RandomModel.llama(9)
            .widths(64, 96)
            .layers(4)
            .type(ElementType.BF16)
            .write(directory.resolve("model"));
  }

  /** A task's adapter, sequences and gradient coefficients. */
  private record Task(LearningAdapter adapter, List<int[]> sequences, List<float[]> coefficients) {}

  private Task task(int number, ModelShape shape) {
    List<int[]> sequences = new ArrayList<>();
    List<float[]> coefficients = new ArrayList<>();
    for (int s = random.nextInt(3); s >= 0; s--) {
      int length = 2 + random.nextInt(40);
      sequences.add(random.ints(length, 0, shape.vocabulary()).toArray());
      float[] values = new float[length];
      for (int t = 0; t < length; t++) {
        values[t] = (float) random.nextGaussian();
      }
      coefficients.add(values);
    }
    List<Projection> projections = new ArrayList<>(Projection.ofLayer());
    projections.removeIf(p -> random.nextInt(4) == 0);
    return new Task(
        LearningAdapter.random("task" + number, shape, random, projections),
        sequences,
        coefficients);
  }

  /** Sequences of several tasks, in an order in which each task's own follow one another. */
  private final class Mix {
    final MicroBatch batch;
    final float[] coefficients;
    final List<Task> tasks;

    Mix(List<Task> tasks) {
      this.tasks = tasks;
      MicroBatch.Builder builder = MicroBatch.builder();
      List<float[]> parts = new ArrayList<>();
      int[] next = new int[tasks.size()];
      List<Integer> left = new ArrayList<>();
      for (int task = 0; task < tasks.size(); task++) {
        for (int s = 0; s < tasks.get(task).sequences.size(); s++) {
          left.add(random.nextInt(left.size() + 1), task);
        }
      }
      for (int task : left) {
        builder.add(task, tasks.get(task).sequences.get(next[task]));
        parts.add(tasks.get(task).coefficients.get(next[task]++));
      }
      batch = builder.build();
      coefficients = new float[batch.tokens()];
      for (int s = 0; s < parts.size(); s++) {
        System.arraycopy(parts.get(s), 0, coefficients, batch.start(s), parts.get(s).length);
      }
    }

    LoraBatch adapters() {
      return batch.fill(new LoraBatch(), task -> Optional.of(tasks.get(task).adapter));
    }

    /** Returns the log-probabilities of a task's tokens, sequence after sequence. */
    double[] of(int task, double[] values) {
      double[] mine = new double[0];
      for (int s = 0; s < batch.sequences(); s++) {
        if (batch.task(s) == task) {
          int at = mine.length;
          int count = batch.start(s + 1) - batch.start(s);
          mine = Arrays.copyOf(mine, at + count);
          System.arraycopy(values, batch.start(s), mine, at, count);
        }
      }
      return mine;
    }

    /** Forward and backward through one or several stages; returns log-probabilities. */
    double[] run(Retention retention, OpenedStage... stages) {
      tasks.forEach(task -> task.adapter.clearGradients());
      LoraBatch adapters = adapters();
      List<TrainingPass> passes = new ArrayList<>();
      Optional<Tensor> hidden = Optional.empty();
      double[] values = {};
      for (OpenedStage opened : stages) {
        TrainingPass pass = opened.stage().forward(batch, adapters, hidden, retention);
        passes.add(pass);
        switch (pass.output()) {
          case StageOutput.Hidden(Tensor states) -> hidden = Optional.of(states);
          case StageOutput.LogProbabilities(double[] found, float[] states) -> values = found;
        }
      }
      OutputGradient gradient = new OutputGradient.OfLogProbabilities(coefficients);
      for (int s = stages.length - 1; s >= 0; s--) {
        Optional<Tensor> below =
            stages[s]
                .stage()
                .backward(
                    passes.get(s), gradient, LearnedGradients.of(LearningAdapter.gradients()));
        assertEquals(s > 0, below.isPresent());
        if (below.isPresent()) {
          gradient = new OutputGradient.OfHidden(below.get());
        }
      }
      passes.forEach(TrainingPass::close);
      return values;
    }
  }

  @Test
  void aTaskGetsTheSameBitsInAnyCompany() {
    try (OpenedStage one = OpenedStage.whole(model, 1, MAX_TOKENS);
        OpenedStage three = OpenedStage.whole(model, 3, MAX_TOKENS)) {
      ModelShape shape = one.architecture().shape();
      for (int round = 0; round < 6; round++) {
        List<Task> tasks = List.of(task(0, shape), task(1, shape), task(2, shape));
        List<double[]> values = new ArrayList<>();
        List<float[]> gradients = new ArrayList<>();
        for (Task task : tasks) {
          Mix alone = new Mix(List.of(task));
          values.add(alone.of(0, alone.run(Retention.INPUTS, one)));
          gradients.add(task.adapter.allGradients());
        }
        Mix together = new Mix(tasks);
        double[] all = together.run(Retention.INPUTS, three);
        for (int task = 0; task < tasks.size(); task++) {
          String where = "seed " + seed + " task " + task;
          assertArrayEquals(values.get(task), together.of(task, all), where);
          assertArrayEquals(gradients.get(task), tasks.get(task).adapter.allGradients(), where);
          assertTrue(tasks.get(task).adapter.gradientNorm() > 0, where);
        }
      }
    }
  }

  @Test
  void whatIsKeptChangesNothing() {
    try (OpenedStage opened = OpenedStage.whole(model, 2, MAX_TOKENS)) {
      ModelShape shape = opened.architecture().shape();
      Mix mix = new Mix(List.of(task(0, shape), task(1, shape)));
      double[] values = mix.run(Retention.INPUTS, opened);
      float[] gradients = mix.tasks.get(0).adapter.allGradients();
      for (Retention retention : List.of(Retention.layers(1), Retention.layers(3), Retention.ALL)) {
        assertArrayEquals(values, mix.run(retention, opened), "seed " + seed);
        assertArrayEquals(gradients, mix.tasks.get(0).adapter.allGradients(), "seed " + seed);
      }
      try (TrainingPass pass =
          opened.stage().forward(mix.batch, mix.adapters(), Optional.empty(), Retention.NOTHING)) {
        StageOutput output = pass.output();
        assertArrayEquals(values, ((StageOutput.LogProbabilities) output).values(), "seed " + seed);
      }
    }
  }

  @Test
  void stagesChangeNothing() {
    try (OpenedStage whole = OpenedStage.whole(model, 2, MAX_TOKENS);
        OpenedStage first = OpenedStage.of(model, 0, 1, 1, MAX_TOKENS);
        OpenedStage second = OpenedStage.of(model, 1, 3, 2, MAX_TOKENS);
        OpenedStage third = OpenedStage.of(model, 3, 4, 1, MAX_TOKENS)) {
      ModelShape shape = whole.architecture().shape();
      Mix mix = new Mix(List.of(task(0, shape), task(1, shape)));
      double[] values = mix.run(Retention.INPUTS, whole);
      float[] gradients = mix.tasks.get(0).adapter.allGradients();
      assertArrayEquals(values, mix.run(Retention.INPUTS, first, second, third), "seed " + seed);
      assertArrayEquals(gradients, mix.tasks.get(0).adapter.allGradients(), "seed " + seed);
    }
  }

  @Test
  void layersBelowTheLowestThatLearnsAreLeftOut() {
    try (OpenedStage opened = OpenedStage.whole(model, 2, MAX_TOKENS)) {
      ModelShape shape = opened.architecture().shape();
      Task task = task(0, shape);
      LearningAdapter upper = new LearningAdapter("upper");
      LearningAdapter zero = new LearningAdapter("zero");
      for (LearningAdapter.Module module : task.adapter.modules()) {
        if (module.target.layer() >= 2) {
          upper.add(module);
        } else {
          Arrays.fill(module.b, 0);
          module.write();
        }
        zero.add(module);
      }
      double[] values =
          new Mix(List.of(new Task(zero, task.sequences, task.coefficients)))
              .run(Retention.INPUTS, opened);
      List<float[]> gradients = new ArrayList<>();
      upper.modules().forEach(m -> gradients.add(floats(m.dA)));
      double[] found =
          new Mix(List.of(new Task(upper, task.sequences, task.coefficients)))
              .run(Retention.INPUTS, opened);
      assertArrayEquals(values, found, "seed " + seed);
      int next = 0;
      for (LearningAdapter.Module module : upper.modules()) {
        assertArrayEquals(gradients.get(next++), floats(module.dA), "seed " + seed);
      }
    }
  }

  private static float[] floats(Tensor tensor) {
    return tensor.segment().toArray(ValueLayout.JAVA_FLOAT);
  }
}
