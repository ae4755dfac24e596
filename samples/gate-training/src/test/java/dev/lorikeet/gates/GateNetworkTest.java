package dev.lorikeet.gates;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.files.gate.GateParameters;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class GateNetworkTest {
  private static final int FEATURES = 7;
  private static final int EXPERTS = 3;

  private static float[] features(Random random) {
    float[] x = new float[FEATURES];
    for (int i = 0; i < x.length; i++) {
      x[i] = (float) random.nextGaussian();
    }
    return x;
  }

  private static double loss(GateNetwork network, float[] x, int label) {
    double[] probabilities = new double[EXPERTS];
    network.forward(x, probabilities);
    return -Math.log(probabilities[label]);
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 5})
  void theGradientIsThatOfDifferences(int inner) {
    long seed = System.nanoTime();
    Random random = new Random(seed);
    GateNetwork network = new GateNetwork(FEATURES, inner, EXPERTS, random);
    for (int i = 0; i < network.size(); i++) {
      network.nudge(i, 0.3f * (float) random.nextGaussian());
    }
    float[] x = features(random);
    double[] byLogit = new double[EXPERTS];
    network.forward(x, byLogit);
    byLogit[1] -= 1;
    network.backward(x, byLogit);
    float step = 1e-2f;
    double here = loss(network, x, 1);
    for (int i = 0; i < network.size(); i++) {
      network.nudge(i, step);
      double above = loss(network, x, 1);
      network.nudge(i, -2 * step);
      double below = loss(network, x, 1);
      network.nudge(i, step);
      // Where a rectifier bends within a step, the gradient is that of one of its sides.
      double before = (here - below) / step;
      double behind = (above - here) / step;
      double nearest =
          Math.clamp(network.gradient(i), Math.min(before, behind), Math.max(before, behind));
      assertEquals(nearest, network.gradient(i), 2e-2, "seed " + seed + ", " + i);
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 16})
  void stepsLearnWhatCanBeSeparatedAndTheSeedDecidesThemAll(int inner) {
    double[] losses = new double[2];
    for (int run = 0; run < 2; run++) {
      Random random = new Random(5);
      GateNetwork network = new GateNetwork(FEATURES, inner, EXPERTS, random);
      double[] byLogit = new double[EXPERTS];
      for (int step = 0; step < 300; step++) {
        double sum = 0;
        for (int n = 0; n < 20; n++) {
          float[] x = features(random);
          int label = x[0] > 0.5 ? 0 : x[1] > 0 ? 1 : 2;
          network.forward(x, byLogit);
          sum -= Math.log(byLogit[label]);
          byLogit[label] -= 1;
          network.backward(x, byLogit);
        }
        network.step(20, 2e-2, 0);
        losses[run] = sum / 20;
      }
    }
    assertTrue(losses[0] < 0.5, "loss " + losses[0] + ", by chance it is 1.1");
    assertEquals(losses[0], losses[1]);
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 4})
  void theFoldedGateTakesFeaturesAsTheyAre(int inner) {
    Random random = new Random(9);
    GateNetwork network = new GateNetwork(FEATURES, inner, EXPERTS, random);
    for (int i = 0; i < network.size(); i++) {
      network.nudge(i, (float) random.nextGaussian());
    }
    float[] mean = features(random);
    float[] scale = new float[FEATURES];
    for (int i = 0; i < FEATURES; i++) {
      scale[i] = 0.5f + random.nextFloat();
    }
    Moments moments = new Moments(mean, scale);
    GateParameters folded = network.fold(moments);
    float[] raw = features(random);
    double[] found = softmax(folded, inner, raw);
    float[] standardized = raw.clone();
    moments.standardize(standardized);
    double[] expected = new double[EXPERTS];
    network.forward(standardized, expected);
    assertArrayEquals(expected, found, 1e-4);
  }

  private static double[] softmax(GateParameters gate, int inner, float[] x) {
    float[] last = x;
    if (inner > 0) {
      last = affine(gate.innerWeight(), gate.innerBias(), x);
      for (int i = 0; i < inner; i++) {
        last[i] = Math.max(0, last[i]);
      }
    }
    float[] logits = affine(gate.weight(), gate.bias(), last);
    double[] y = new double[logits.length];
    double sum = 0;
    for (int i = 0; i < y.length; i++) {
      y[i] = Math.exp(logits[i]);
      sum += y[i];
    }
    for (int i = 0; i < y.length; i++) {
      y[i] /= sum;
    }
    return y;
  }

  private static float[] affine(float[] weight, float[] bias, float[] x) {
    float[] y = bias.clone();
    for (int r = 0; r < y.length; r++) {
      for (int i = 0; i < x.length; i++) {
        y[r] += weight[r * x.length + i] * x[i];
      }
    }
    return y;
  }

  @Test
  void aRestoredSnapshotDecidesAsBefore() {
    Random random = new Random(3);
    GateNetwork network = new GateNetwork(FEATURES, 0, EXPERTS, random);
    float[] x = features(random);
    network.nudge(0, 1f);
    float[] snapshot = network.snapshot();
    double before = loss(network, x, 0);
    network.nudge(0, 2f);
    network.restore(snapshot);
    assertEquals(before, loss(network, x, 0));
  }
}
