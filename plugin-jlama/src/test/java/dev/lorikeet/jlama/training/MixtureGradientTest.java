package dev.lorikeet.jlama.training;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.jlama.weights.RandomModel;
import dev.lorikeet.training.data.Example;
import dev.lorikeet.training.stage.Retention;
import dev.lorikeet.training.task.LoraMethod;
import dev.lorikeet.training.task.Mixture;
import dev.lorikeet.training.task.OptimizerSpec;
import dev.lorikeet.training.task.TaskSpec;
import dev.lorikeet.training.trainer.StepReport;
import dev.lorikeet.training.trainer.TaskExamples;
import dev.lorikeet.training.trainer.TaskOutput;
import dev.lorikeet.training.trainer.Trainer;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/**
 * What a step of gradient descent changes in experts and gate, against finite differences of a
 * plain reference of model, mixture and both losses in double precision.
 */
@Timeout(value = 300, unit = TimeUnit.SECONDS)
class MixtureGradientTest {
  private static final int EXPERTS = 3;
  private static final int TOP_K = 2;
  private static final int RANK = 2;
  private static final double ALPHA = 6;
  private static final double BALANCING = 0.2;
  private static final double RATE = 0.5;

  /** Small enough for the third derivative not to count. */
  private static final double STEP = 0x1p-12;

  private final long seed = Long.getLong("lorikeet.seed", System.nanoTime());
  private final Random random = new Random(seed);

  private double gateScale = 1;

  @TempDir Path directory;

  @Test
  void aStepGoesAlongTheGradientOfTheReference() {
    Path model =
        RandomModel.llama(11).widths(32, 48).heads(2, 1).layers(2).write(directory.resolve("base"));
    try (OpenedStage opened = OpenedStage.whole(model, 2, 64)) {
      int vocabulary = opened.architecture().shape().vocabulary();
      gateScale = scale(opened);
      List<int[]> sequences = new ArrayList<>();
      for (int length : new int[] {7, 4, 6}) {
        sequences.add(random.ints(length, 0, vocabulary).toArray());
      }
      List<StepReport> reports = Collections.synchronizedList(new ArrayList<>());
      Path before = learn(opened, sequences, 6, "before", reports);
      ReferenceMixture reference = reference(opened, before);
      reports.clear();
      ReferenceMixture after = reference(opened, learn(opened, sequences, 7, "after", reports));
      List<int[][]> choices = reference.choices(sequences);
      StepReport last = reports.getLast();
      assertEquals(reference.crossEntropy(sequences, choices), last.loss(), 1e-4, "seed " + seed);
      assertEquals(
          reference.balance(sequences, choices),
          last.balance().orElseThrow(),
          1e-4,
          "seed " + seed);
      double squares = 0;
      for (Map.Entry<String, double[]> parameter : reference.parameters.entrySet()) {
        double[] values = parameter.getValue();
        double[] gradient = gradient(parameter.getKey(), values, after);
        squares += check(reference, sequences, choices, parameter.getKey(), values, gradient);
      }
      assertEquals(Math.sqrt(squares), last.gradientNorm(), 2e-3 * last.gradientNorm());
    }
  }

  private Path learn(
      OpenedStage opened,
      List<int[]> sequences,
      int steps,
      String folder,
      List<StepReport> reports) {
    TaskSpec spec =
        TaskSpec.builder("mix")
            .method(
                new LoraMethod(
                    RANK, ALPHA, false, LoraMethod.DEFAULT.targets(), Map.of(), Map.of(), 1, false))
            .mixture(
                new Mixture(
                    EXPERTS, TOP_K, BALANCING, OptionalDouble.empty(), Mixture.DEFAULT.context()))
            .optimizer(new OptimizerSpec.Sgd(0))
            .learningRate(RATE)
            .batchSize(sequences.size())
            .steps(steps)
            .seed(seed)
            .build();
    Path to = created(folder).resolve("mix");
    TaskExamples examples =
        TaskExamples.of(
            n -> {
              int[] ids = sequences.get((int) (n % sequences.size()));
              return new Example.Text(ids, ids);
            });
    try (Trainer trainer =
        new Trainer(opened.stage(), opened.architecture().shape(), Retention.INPUTS)) {
      trainer
          .submit(spec, examples, reports::add, Optional.of(new TaskOutput(to, Optional.empty())))
          .completion()
          .join();
    }
    return to;
  }

  private Path created(String folder) {
    try {
      return Files.createDirectories(directory.resolve(folder));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static ReferenceMixture reference(OpenedStage opened, Path directory) {
    return new ReferenceMixture(opened, directory, EXPERTS, TOP_K, ALPHA / RANK, BALANCING);
  }

  /** Returns the gradient that a step has gone along, with respect to what learns. */
  private double[] gradient(String name, double[] before, ReferenceMixture after) {
    double[] changed = Objects.requireNonNull(after.parameters.get(name));
    double[] gradient = new double[before.length];
    // The gate learns W / s with the inverse root mean square s of embeddings, and files hold W.
    double scale = name.equals("gate.weight") ? gateScale : 1;
    for (int i = 0; i < gradient.length; i++) {
      gradient[i] = (before[i] - changed[i]) / (RATE * scale);
    }
    return gradient;
  }

  /** The inverse root mean square of 1,024 embeddings, from all over the vocabulary. */
  private static double scale(OpenedStage opened) {
    int vocabulary = opened.architecture().shape().vocabulary();
    int hidden = opened.architecture().shape().hidden();
    double squares = 0;
    for (int i = 0; i < 1024; i++) {
      for (int f = 0; f < hidden; f++) {
        double value = opened.weights().embedding().get(i * vocabulary / 1024, f);
        squares += value * value / (1024.0 * hidden);
      }
    }
    return 1 / Math.sqrt(squares);
  }

  /** Compares along a random direction; returns the sum of the gradient's squares. */
  private double check(
      ReferenceMixture reference,
      List<int[]> sequences,
      List<int[][]> choices,
      String name,
      double[] values,
      double[] gradient) {
    double[] before = values.clone();
    double scale = name.equals("gate.weight") ? gateScale : 1;
    double along = 0;
    double squares = 0;
    double[] direction = new double[values.length];
    for (int i = 0; i < values.length; i++) {
      direction[i] = scale * (random.nextBoolean() ? STEP : -STEP);
      along += gradient[i] * direction[i] / scale;
      squares += gradient[i] * gradient[i];
    }
    for (int i = 0; i < values.length; i++) {
      values[i] = before[i] + direction[i];
    }
    double above = reference.loss(sequences, choices);
    for (int i = 0; i < values.length; i++) {
      values[i] = before[i] - direction[i];
    }
    double below = reference.loss(sequences, choices);
    System.arraycopy(before, 0, values, 0, values.length);
    assertTrue(squares > 0, () -> name + " has no gradient, seed " + seed);
    assertEquals(
        (above - below) / 2,
        along,
        2e-3 * STEP * Math.sqrt(squares) + 1e-8 * STEP,
        () -> "seed " + seed + " " + name);
    return squares;
  }
}
