package dev.lorikeet.jlama.training;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.jlama.decoder.ReferenceForward;
import dev.lorikeet.jlama.weights.RandomModel;
import dev.lorikeet.training.data.Example;
import dev.lorikeet.training.stage.MicroBatch;
import dev.lorikeet.training.stage.Retention;
import dev.lorikeet.training.task.LoraMethod;
import dev.lorikeet.training.task.Objective;
import dev.lorikeet.training.task.OptimizerSpec;
import dev.lorikeet.training.task.TaskSpec;
import dev.lorikeet.training.trainer.StepReport;
import dev.lorikeet.training.trainer.TaskExamples;
import dev.lorikeet.training.trainer.TaskOutput;
import dev.lorikeet.training.trainer.Trainer;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * What a step of contrastive instruction tuning changes, against finite differences of a plain
 * reference of model and loss in double precision.
 */
@Timeout(value = 300, unit = TimeUnit.SECONDS)
class ContrastiveGradientTest {
  private static final int RANK = 2;
  private static final double ALPHA = 6;
  private static final double TEMPERATURE = 0.2;
  private static final double RATE = 0.2;

  /** Small enough for the third derivative not to count. */
  private static final double STEP = 0x1p-12;

  private final long seed = Long.getLong("lorikeet.seed", System.nanoTime());
  private final Random random = new Random(seed);

  @TempDir Path directory;

  private List<Example.Paraphrase> pairs(int vocabulary) {
    List<Example.Paraphrase> pairs = new ArrayList<>();
    for (int i = 0; i < 4; i++) {
      int[] completion = random.ints(1 + random.nextInt(3), 0, vocabulary).toArray();
      pairs.add(
          new Example.Paraphrase(
              wording(random.ints(1 + random.nextInt(4), 0, vocabulary).toArray(), completion),
              wording(random.ints(1 + random.nextInt(4), 0, vocabulary).toArray(), completion)));
    }
    return pairs;
  }

  private static Example.Text wording(int[] prompt, int[] completion) {
    int[] ids = IntStream.concat(Arrays.stream(prompt), Arrays.stream(completion)).toArray();
    int[] labels = ids.clone();
    Arrays.fill(labels, 0, prompt.length, MicroBatch.NO_LOSS);
    return new Example.Text(ids, labels);
  }

  /** A weight that is the smaller one, and one that is not. */
  @ParameterizedTest
  @ValueSource(doubles = {0.4, 1000})
  void aStepGoesAlongTheGradientOfTheReference(double weight) throws IOException {
    Path model =
        RandomModel.llama(12).widths(32, 48).heads(2, 1).layers(2).write(directory.resolve("base"));
    try (OpenedStage opened = OpenedStage.whole(model, 2, 128)) {
      List<Example.Paraphrase> pairs = pairs(opened.architecture().shape().vocabulary());
      List<StepReport> reports = Collections.synchronizedList(new ArrayList<>());
      ReferenceAdapter before =
          new ReferenceAdapter(learn(opened, pairs, weight, 3, reports), ALPHA / RANK);
      reports.clear();
      Map<String, double[]> after =
          new ReferenceAdapter(learn(opened, pairs, weight, 4, reports), ALPHA / RANK).parameters;
      StepReport last = reports.getLast();
      double generation = generation(opened, before, pairs);
      double contrastive = contrastive(opened, before, pairs);
      double ratio = Math.min(weight, generation / contrastive);
      assertEquals(weight > 1, ratio < weight, "which one is smaller");
      assertEquals(generation + ratio * contrastive, last.loss(), 1e-4, "seed " + seed);
      assertEquals(contrastive, last.contrastive().orElseThrow(), 1e-4, "seed " + seed);
      double squares = 0;
      for (Map.Entry<String, double[]> parameter : before.parameters.entrySet()) {
        double[] values = parameter.getValue();
        double[] start = values.clone();
        double[] end = Objects.requireNonNull(after.get(parameter.getKey()));
        double[] direction = new double[values.length];
        double along = 0;
        double size = 0;
        for (int i = 0; i < values.length; i++) {
          double gradient = (start[i] - end[i]) / RATE;
          direction[i] = random.nextBoolean() ? STEP : -STEP;
          along += gradient * direction[i];
          size += gradient * gradient;
        }
        squares += size;
        double[] losses = new double[2];
        for (int side = 0; side < 2; side++) {
          for (int i = 0; i < values.length; i++) {
            values[i] = start[i] + (side == 0 ? direction[i] : -direction[i]);
          }
          losses[side] =
              generation(opened, before, pairs) + ratio * contrastive(opened, before, pairs);
        }
        System.arraycopy(start, 0, values, 0, values.length);
        assertEquals(
            (losses[0] - losses[1]) / 2,
            along,
            2e-3 * STEP * Math.sqrt(size) + 1e-8 * STEP,
            () -> "seed " + seed + " " + parameter.getKey());
      }
      assertTrue(squares > 0);
      assertEquals(Math.sqrt(squares), last.gradientNorm(), 2e-3 * last.gradientNorm());
    }
  }

  private Path learn(
      OpenedStage opened,
      List<Example.Paraphrase> pairs,
      double weight,
      int steps,
      List<StepReport> reports)
      throws IOException {
    TaskSpec spec =
        TaskSpec.builder("cit")
            .objective(new Objective.Contrastive(TEMPERATURE, weight))
            .method(
                new LoraMethod(
                    RANK, ALPHA, false, LoraMethod.DEFAULT.targets(), Map.of(), Map.of(), 1, false))
            .optimizer(new OptimizerSpec.Sgd(0))
            .learningRate(RATE)
            .batchSize(pairs.size())
            .steps(steps)
            .seed(seed)
            .build();
    Path to = Files.createDirectories(directory.resolve("after-" + steps)).resolve("cit");
    try (Trainer trainer =
        new Trainer(opened.stage(), opened.architecture().shape(), Retention.INPUTS)) {
      trainer
          .submit(
              spec,
              TaskExamples.of(n -> pairs.get((int) (n % pairs.size()))),
              reports::add,
              Optional.of(new TaskOutput(to, Optional.empty())))
          .completion()
          .join();
    }
    return to;
  }

  private static List<Example.Text> wordings(Example.Paraphrase pair) {
    return List.of(pair.original(), pair.paraphrased());
  }

  private static double generation(
      OpenedStage opened, ReferenceAdapter adapter, List<Example.Paraphrase> pairs) {
    double sum = 0;
    int labels = 0;
    for (Example.Paraphrase pair : pairs) {
      for (Example.Text text : wordings(pair)) {
        double[][] logits =
            ReferenceForward.logits(opened.architecture(), opened.weights(), adapter, text.ids());
        for (int t = 0; t + 1 < text.tokens(); t++) {
          if (text.labels()[t + 1] != MicroBatch.NO_LOSS) {
            sum += Math.log(Arrays.stream(logits[t]).map(Math::exp).sum());
            sum -= logits[t][text.ids()[t + 1]];
            labels++;
          }
        }
      }
    }
    return sum / labels;
  }

  private static double contrastive(
      OpenedStage opened, ReferenceAdapter adapter, List<Example.Paraphrase> pairs) {
    int n = pairs.size();
    double[][][] states = new double[n][2][];
    for (int i = 0; i < n; i++) {
      for (int side = 0; side < 2; side++) {
        Example.Text text = wordings(pairs.get(i)).get(side);
        int last = 0;
        while (text.labels()[last + 1] == MicroBatch.NO_LOSS) {
          last++;
        }
        states[i][side] =
            ReferenceForward.states(opened.architecture(), opened.weights(), adapter, text.ids())[
                last];
      }
    }
    double loss = 0;
    for (int i = 0; i < n; i++) {
      double row = 0;
      double column = 0;
      for (int j = 0; j < n; j++) {
        row += Math.exp(cosine(states[i][0], states[j][1]) / TEMPERATURE);
        column += Math.exp(cosine(states[j][0], states[i][1]) / TEMPERATURE);
      }
      double right = cosine(states[i][0], states[i][1]) / TEMPERATURE;
      loss += (Math.log(row) - right + Math.log(column) - right) / (2 * n);
    }
    return loss;
  }

  private static double cosine(double[] x, double[] y) {
    double dot = 0;
    double ofX = 0;
    double ofY = 0;
    for (int i = 0; i < x.length; i++) {
      dot += x[i] * y[i];
      ofX += x[i] * x[i];
      ofY += y[i] * y[i];
    }
    return dot / Math.sqrt(ofX * ofY);
  }
}
