package dev.lorikeet.training.learning;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.routing.RunningContext;
import dev.lorikeet.shape.ModelShape;
import dev.lorikeet.training.optimizer.FactorMemory;
import dev.lorikeet.training.stage.MicroBatch;
import dev.lorikeet.training.task.Mixture;
import dev.lorikeet.training.task.OptimizerSpec;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.Comparator;
import java.util.OptionalDouble;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** A gate against formulas in double precision, and its gradients against finite differences. */
class LearningGateTest {
  private static final int HIDDEN = 12;
  private static final int VOCABULARY = 40;
  private static final ModelShape SHAPE =
      ModelShape.builder()
          .layers(1)
          .hidden(HIDDEN)
          .intermediate(8)
          .heads(1)
          .kvHeads(1)
          .headDim(8)
          .vocabulary(VOCABULARY)
          .build();
  private static final float DECAY = 0.7f;
  private static final double BALANCING = 0.3;

  private final long seed = Long.getLong("lorikeet.seed", System.nanoTime());
  private final Random random = new Random(seed);
  private final float[] table = new float[VOCABULARY * HIDDEN];

  LearningGateTest() {
    for (int i = 0; i < table.length; i++) {
      table[i] = (float) (0.05 * random.nextGaussian());
    }
  }

  private void read(int[] ids, float[] rows) {
    for (int t = 0; t < ids.length; t++) {
      System.arraycopy(table, ids[t] * HIDDEN, rows, t * HIDDEN, HIDDEN);
    }
  }

  private static Mixture mixture(int experts, int topK, boolean mean) {
    return new Mixture(
        experts,
        topK,
        BALANCING,
        OptionalDouble.empty(),
        mean ? new RunningContext.MeanEmbedding(DECAY) : new RunningContext.None());
  }

  private LearningGate gate(Mixture mixture) {
    LearningGate gate =
        new LearningGate(mixture, SHAPE, new OptimizerSpec.Sgd(0), random.nextLong(), this::read);
    // Larger than at first, so that weights are unlike.
    for (FactorMemory factor : new FactorMemory[] {gate.weight(), gate.bias()}) {
      for (long i = 0; i < factor.count(); i++) {
        factor.values().setAtIndex(ValueLayout.JAVA_FLOAT, i, (float) random.nextGaussian());
      }
    }
    return gate;
  }

  /** Two sequences of the task with one of another between them. */
  private MicroBatch batch() {
    return MicroBatch.builder()
        .add(3, random.ints(5, 0, VOCABULARY).toArray())
        .add(1, random.ints(4, 0, VOCABULARY).toArray())
        .add(3, random.ints(6, 0, VOCABULARY).toArray())
        .build();
  }

  private double[][] features(MicroBatch batch, boolean mean) {
    double squares = 0;
    for (float value : table) {
      squares += (double) value * value;
    }
    double scale = Math.sqrt(table.length / squares);
    int[] tokens = batch.tokensOf(3);
    double[][] features = new double[tokens.length][mean ? 2 * HIDDEN : HIDDEN];
    for (int t = 0; t < tokens.length; t++) {
      for (int i = 0; i < HIDDEN; i++) {
        double row = scale * table[batch.token(tokens[t]) * HIDDEN + i];
        features[t][i] = row;
        if (mean) {
          features[t][HIDDEN + i] =
              batch.position(tokens[t]) == 0
                  ? row
                  : DECAY * features[t - 1][HIDDEN + i] + (1 - DECAY) * row;
        }
      }
    }
    return features;
  }

  private static double[] logits(LearningGate gate, double[] x) {
    double[] logits = new double[(int) gate.bias().count()];
    for (int e = 0; e < logits.length; e++) {
      logits[e] = gate.bias().values().getAtIndex(ValueLayout.JAVA_FLOAT, e);
      for (int i = 0; i < x.length; i++) {
        logits[e] +=
            x[i]
                * gate.weight()
                    .values()
                    .getAtIndex(ValueLayout.JAVA_FLOAT, (long) e * x.length + i);
      }
    }
    return logits;
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void theLargestLogitsAreChosenAndTheirSoftmaxWeighsThem(boolean mean) {
    MicroBatch batch = batch();
    try (LearningGate gate = gate(mixture(5, 3, mean))) {
      LearningGate.Routing routing = gate.route(batch, 3);
      double[][] features = features(batch, mean);
      for (int t = 0; t < features.length; t++) {
        double[] logits = logits(gate, features[t]);
        int[] best =
            IntStream.range(0, 5)
                .boxed()
                .sorted(Comparator.comparingDouble((Integer e) -> -logits[e]))
                .limit(3)
                .mapToInt(e -> e)
                .toArray();
        int[] choices = routing.mixture().choices();
        assertArrayEquals(best, Arrays.copyOfRange(choices, 3 * t, 3 * t + 3), "seed " + seed);
        double sum = Arrays.stream(best).mapToDouble(e -> Math.exp(logits[e])).sum();
        for (int k = 0; k < 3; k++) {
          assertEquals(
              Math.exp(logits[best[k]]) / sum,
              routing.mixture().weights()[3 * t + k],
              1e-5,
              "seed " + seed);
        }
      }
    }
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void gradientsAreFiniteDifferences(boolean mean) {
    MicroBatch batch = batch();
    try (LearningGate gate = gate(mixture(4, 2, mean))) {
      LearningGate.Routing routing = gate.route(batch, 3);
      float[] byWeight = new float[routing.mixture().weights().length];
      for (int i = 0; i < byWeight.length; i++) {
        byWeight[i] = (float) random.nextGaussian();
      }
      double[][] features = features(batch, mean);
      long stepTokens = 2L * features.length;
      gate.learn(routing, byWeight, stepTokens);
      gate.learn(routing, byWeight, stepTokens); // adds up
      double step = 0x1p-12;
      for (FactorMemory factor : new FactorMemory[] {gate.weight(), gate.bias()}) {
        for (long i = 0; i < factor.count(); i++) {
          float before = factor.values().getAtIndex(ValueLayout.JAVA_FLOAT, i);
          float above = (float) (before + step);
          float below = (float) (before - step);
          factor.values().setAtIndex(ValueLayout.JAVA_FLOAT, i, above);
          double more = loss(gate, features, routing.mixture().choices(), byWeight, stepTokens);
          factor.values().setAtIndex(ValueLayout.JAVA_FLOAT, i, below);
          double less = loss(gate, features, routing.mixture().choices(), byWeight, stepTokens);
          factor.values().setAtIndex(ValueLayout.JAVA_FLOAT, i, before);
          assertEquals(
              2 * (more - less) / ((double) above - below),
              factor.gradients().getAtIndex(ValueLayout.JAVA_FLOAT, i),
              2e-4,
              "seed " + seed);
        }
      }
      assertTrue(gate.squares() > 0, "seed " + seed);
    }
  }

  /** The sum of weights times what they count, and the balance; choices are what they were. */
  private static double loss(
      LearningGate gate, double[][] features, int[] choices, float[] byWeight, long stepTokens) {
    int experts = (int) gate.bias().count();
    int topK = choices.length / features.length;
    double[] used = new double[experts];
    double[] likely = new double[experts];
    double loss = 0;
    for (int t = 0; t < features.length; t++) {
      double[] logits = logits(gate, features[t]);
      double all = Arrays.stream(logits).map(Math::exp).sum();
      double chosen = 0;
      for (int k = 0; k < topK; k++) {
        chosen += Math.exp(logits[choices[t * topK + k]]);
        used[choices[t * topK + k]] += 1.0 / choices.length;
      }
      for (int k = 0; k < topK; k++) {
        loss += byWeight[t * topK + k] * Math.exp(logits[choices[t * topK + k]]) / chosen;
      }
      for (int e = 0; e < experts; e++) {
        likely[e] += Math.exp(logits[e]) / all / features.length;
      }
    }
    double balance = 0;
    for (int e = 0; e < experts; e++) {
      balance += experts * used[e] * likely[e];
    }
    return loss + BALANCING * balance * features.length / stepTokens;
  }

  @Test
  void theBalanceIsOneWhereAllAreUsedAlikeAndMoreWhereNot() {
    MicroBatch batch = batch();
    try (LearningGate gate = gate(mixture(3, 2, false))) {
      gate.weight().values().fill((byte) 0);
      gate.bias().values().fill((byte) 0);
      assertEquals(1, gate.route(batch, 3).balance(), 1e-12);
      gate.bias().values().setAtIndex(ValueLayout.JAVA_FLOAT, 0, 20);
      gate.bias().values().setAtIndex(ValueLayout.JAVA_FLOAT, 2, 10);
      // Two of three are used, and the first is all but certain: 3 * (1/2 * 1).
      LearningGate.Routing routing = gate.route(batch, 3);
      assertEquals(1.5, routing.balance(), 1e-3);
      gate.learn(routing, new float[routing.mixture().weights().length], 1);
      float first = gate.bias().gradients().getAtIndex(ValueLayout.JAVA_FLOAT, 0);
      gate.step(1, 1, 1);
      assertEquals(20 - first, gate.bias().values().getAtIndex(ValueLayout.JAVA_FLOAT, 0));
      assertEquals(0, gate.squares());
    }
  }
}
