package dev.lorikeet.jlama.training;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.executor.LoraBatch;
import dev.lorikeet.jlama.decoder.ReferenceForward;
import dev.lorikeet.jlama.weights.RandomModel;
import dev.lorikeet.shape.Projection;
import dev.lorikeet.shape.TargetModule;
import dev.lorikeet.tensor.ElementType;
import dev.lorikeet.training.stage.Dropout;
import dev.lorikeet.training.stage.LearnedGradients;
import dev.lorikeet.training.stage.MicroBatch;
import dev.lorikeet.training.stage.OutputGradient;
import dev.lorikeet.training.stage.Retention;
import dev.lorikeet.training.stage.StageOutput;
import dev.lorikeet.training.stage.TrainingPass;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.Optional;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * A stage's log-probabilities against a forward in double precision, and its gradients against that
 * forward's finite differences: everything that an architecture can have, and every projection.
 */
@Timeout(value = 120, unit = TimeUnit.SECONDS)
class StageGradientTest {
  /** Small enough for the third derivative not to count, large enough for float32 weights. */
  private static final float STEP = 0x1p-11f;

  private static final Path QWEN3 = Path.of("src/test/resources/dev/lorikeet/jlama/families/qwen3");

  private final long seed = Long.getLong("lorikeet.seed", System.nanoTime());
  private final Random random = new Random(seed);

  @TempDir Path directory;

  interface Model {
    Path write(Path directory);
  }

  private static RandomModel small(RandomModel model) {
    return model.widths(64, 96).heads(4, 2);
  }

  static Stream<Arguments> models() {
    Model f32 = small(RandomModel.llama(1))::write;
    Model biased =
        small(RandomModel.llama(2)).attentionBias().mlpBias().type(ElementType.BF16)::write;
    Model tied = small(RandomModel.llama(3)).tied().type(ElementType.F16).heads(4, 1)::write;
    Model window = small(RandomModel.mistral(4)).config("sliding_window", 3).headDim(20)::write;
    Model qwen2 = small(RandomModel.qwen2(5)).heads(4, 4).layers(3)::write;
    Model q4 = small(RandomModel.llama(6))::writeQ4;
    Model headNorms = ignored -> QWEN3;
    return Stream.of(
        Arguments.of("llama", f32),
        Arguments.of("llama BF16 with biases", biased),
        Arguments.of("llama F16 tied, one KV head", tied),
        Arguments.of("mistral with a window", window),
        Arguments.of("qwen2", qwen2),
        Arguments.of("llama Q4", q4),
        Arguments.of("qwen3 with norms of heads", headNorms));
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("models")
  void gradientsAreThoseOfTheReference(String name, Model model) {
    check(model, Dropout.NONE);
  }

  @Test
  void gradientsAreThoseOfTheReferenceWithElementsLeftOut() {
    check(small(RandomModel.llama(7))::write, new Dropout(0.3f, random.nextLong()));
  }

  private void check(Model model, Dropout dropout) {
    Path path = model.write(directory.resolve("model"));
    try (OpenedStage opened = OpenedStage.whole(path, 2, 64)) {
      LearningAdapter adapter =
          LearningAdapter.random("a", opened.architecture().shape(), random, Projection.ofLayer());
      int vocabulary = opened.architecture().shape().vocabulary();
      int[] ids = random.ints(9, 0, vocabulary).toArray();
      int[] other = random.ints(4, 0, vocabulary).toArray();
      MicroBatch batch = MicroBatch.builder().add(1, other).add(0, ids, ids, dropout).build();
      float[] coefficients = new float[batch.tokens()];
      for (int t = 0; t < coefficients.length; t++) {
        coefficients[t] = (float) random.nextGaussian();
      }
      LoraBatch lora =
          batch.fill(new LoraBatch(), t -> t == 0 ? Optional.of(adapter) : Optional.empty());
      try (TrainingPass pass =
          opened.stage().forward(batch, lora, Optional.empty(), Retention.INPUTS)) {
        double[] values = ((StageOutput.LogProbabilities) pass.output()).values();
        double[] base = logProbabilities(opened, new LearningAdapter("none"), Dropout.NONE, other);
        double[] adapted = logProbabilities(opened, adapter, dropout, ids);
        for (int t = 0; t < 3; t++) {
          assertEquals(base[t], values[t], 1e-4, "seed " + seed);
        }
        for (int t = 0; t < 8; t++) {
          assertEquals(adapted[t], values[4 + t], 1e-4, "seed " + seed);
        }
        opened
            .stage()
            .backward(
                pass,
                new OutputGradient.OfLogProbabilities(coefficients),
                LearnedGradients.of(LearningAdapter.gradients()));
      }
      checkModules(opened, adapter, dropout, ids, coefficients);
    }
  }

  /** Every module's gradient along a random direction. */
  private void checkModules(
      OpenedStage opened,
      LearningAdapter adapter,
      Dropout dropout,
      int[] ids,
      float[] coefficients) {
    for (LearningAdapter.Module module : adapter.modules()) {
      for (boolean isA : new boolean[] {true, false}) {
        float[] factor = isA ? module.a : module.b;
        float[] before = factor.clone();
        float[] direction = new float[factor.length];
        double along = 0;
        double size = 0;
        for (int i = 0; i < direction.length; i++) {
          direction[i] = random.nextBoolean() ? STEP : -STEP;
          float gradient =
              (isA ? module.dA : module.dB).segment().getAtIndex(ValueLayout.JAVA_FLOAT, i);
          along += (double) gradient * direction[i];
          size += (double) gradient * gradient;
        }
        double above =
            loss(opened, adapter, dropout, ids, coefficients, factor, before, direction, 1);
        double below =
            loss(opened, adapter, dropout, ids, coefficients, factor, before, direction, -1);
        System.arraycopy(before, 0, factor, 0, factor.length);
        double tolerance = 2e-3 * STEP * Math.sqrt(size) + 1e-9;
        assertTrue(size > 0, module.target + " has no gradient");
        assertEquals(
            (above - below) / 2,
            along,
            tolerance,
            () -> "seed " + seed + " " + module.target + (isA ? " A" : " B"));
      }
    }
  }

  private static double loss(
      OpenedStage opened,
      LearningAdapter adapter,
      Dropout dropout,
      int[] ids,
      float[] coefficients,
      float[] factor,
      float[] before,
      float[] direction,
      int sign) {
    for (int i = 0; i < factor.length; i++) {
      factor[i] = before[i] + sign * direction[i];
    }
    double[] values = logProbabilities(opened, adapter, dropout, ids);
    double loss = 0;
    for (int t = 0; t + 1 < ids.length; t++) {
      loss += coefficients[4 + t] * values[t];
    }
    return loss;
  }

  private static double[] logProbabilities(
      OpenedStage opened, LearningAdapter adapter, Dropout dropout, int... ids) {
    double[][] logits =
        ReferenceForward.logits(
            opened.architecture(), opened.weights(), new Deltas(adapter, dropout), ids);
    double[] values = new double[ids.length - 1];
    for (int t = 0; t < values.length; t++) {
      double sum = 0;
      for (double logit : logits[t]) {
        sum += Math.exp(logit);
      }
      values[t] = logits[t][ids[t + 1]] - Math.log(sum);
    }
    return values;
  }

  private record Deltas(LearningAdapter adapter, Dropout dropout)
      implements ReferenceForward.Deltas {
    @Override
    public void embedded(int token, double[] embedding) {}

    @Override
    public void layerInput(int layer, int token, double[] input) {}

    @Override
    public void add(int layer, Projection projection, int token, double[] x, double[] y) {
      Projection first =
          switch (projection) {
            case K, V -> Projection.Q;
            case UP -> Projection.GATE;
            default -> projection;
          };
      float[] kept = new float[x.length];
      java.util.Arrays.fill(kept, 1);
      dropout.apply(layer, first, token, kept, kept.length);
      double[] seen = new double[x.length];
      for (int i = 0; i < x.length; i++) {
        seen[i] = kept[i] * x[i];
      }
      adapter.module(TargetModule.of(layer, projection)).ifPresent(module -> module.add(seen, y));
    }
  }
}
