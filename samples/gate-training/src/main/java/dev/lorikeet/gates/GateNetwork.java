package dev.lorikeet.gates;

import dev.lorikeet.files.gate.GateParameters;
import java.util.Random;

/**
 * The parameters of a gate in training, their gradient and Adam's moments: {@code logits = W f +
 * b}, or {@code W relu(V f + c) + b}. Not thread-safe.
 */
final class GateNetwork {
  /*
   * Adam (Kingma and Ba, arXiv 1412.6980) with decoupled weight decay (Loshchilov and Hutter, arXiv 1711.05101) on the
   * weights, not the biases. All parameters lie in one array, V, c, W, b one after the other, so that the optimizer is
   * one loop.
   */
  private static final double BETA1 = 0.9;
  private static final double BETA2 = 0.999;
  private static final double EPSILON = 1e-8;

  final int features;
  final int inner;
  final int experts;
  private final int innerBias;
  private final int weight;
  private final int bias;
  private final float[] parameters;
  private final float[] gradient;
  private final float[] first;
  private final float[] second;
  private final float[] hidden;
  private final float[] hiddenGradient;
  private int steps;

  GateNetwork(int features, int inner, int experts, Random random) {
    this.features = features;
    this.inner = inner;
    this.experts = experts;
    this.innerBias = inner * features;
    this.weight = innerBias + inner;
    this.bias = weight + experts * lastInputs();
    int size = bias + experts;
    this.parameters = new float[size];
    this.gradient = new float[size];
    this.first = new float[size];
    this.second = new float[size];
    this.hidden = new float[inner];
    this.hiddenGradient = new float[inner];
    draw(random, 0, innerBias, Math.sqrt(2.0 / features));
    draw(random, weight, bias, inner > 0 ? Math.sqrt(1.0 / inner) : 0);
  }

  private void draw(Random random, int from, int to, double scale) {
    for (int i = from; i < to; i++) {
      parameters[i] = (float) (scale * random.nextGaussian());
    }
  }

  int lastInputs() {
    return inner > 0 ? inner : features;
  }

  /** Returns a copy of the parameters, to go back to. */
  float[] snapshot() {
    return parameters.clone();
  }

  void restore(float[] snapshot) {
    System.arraycopy(snapshot, 0, parameters, 0, parameters.length);
  }

  /** Writes the softmax of the logits. */
  void forward(float[] x, double[] probabilities) {
    float[] last = x;
    if (inner > 0) {
      for (int i = 0; i < inner; i++) {
        hidden[i] = Math.max(0f, dot(i * features, x) + parameters[innerBias + i]);
      }
      last = hidden;
    }
    double largest = Double.NEGATIVE_INFINITY;
    for (int e = 0; e < experts; e++) {
      probabilities[e] = dot(weight + e * last.length, last) + parameters[bias + e];
      largest = Math.max(largest, probabilities[e]);
    }
    double sum = 0;
    for (int e = 0; e < experts; e++) {
      probabilities[e] = Math.exp(probabilities[e] - largest);
      sum += probabilities[e];
    }
    for (int e = 0; e < experts; e++) {
      probabilities[e] /= sum;
    }
  }

  private float dot(int at, float[] x) {
    float sum = 0;
    for (int i = 0; i < x.length; i++) {
      sum += parameters[at + i] * x[i];
    }
    return sum;
  }

  /**
   * Adds to the gradient that of a loss whose derivative by each logit is given. Follows {@link
   * #forward} on the same features.
   */
  void backward(float[] x, double[] byLogit) {
    float[] last = inner > 0 ? hidden : x;
    java.util.Arrays.fill(hiddenGradient, 0f);
    for (int e = 0; e < experts; e++) {
      float g = (float) byLogit[e];
      int at = weight + e * last.length;
      for (int i = 0; i < last.length; i++) {
        gradient[at + i] += g * last[i];
      }
      gradient[bias + e] += g;
      for (int i = 0; i < inner; i++) {
        hiddenGradient[i] += g * parameters[at + i];
      }
    }
    for (int i = 0; i < inner; i++) {
      if (hidden[i] > 0) {
        float g = hiddenGradient[i];
        for (int f = 0; f < features; f++) {
          gradient[i * features + f] += g * x[f];
        }
        gradient[innerBias + i] += g;
      }
    }
  }

  /**
   * Takes a step along the mean gradient and clears it.
   *
   * @param count how many tokens the gradient sums
   */
  void step(int count, double rate, double decay) {
    steps++;
    double correction1 = 1 - Math.pow(BETA1, steps);
    double correction2 = 1 - Math.pow(BETA2, steps);
    for (int i = 0; i < parameters.length; i++) {
      double g = gradient[i] / (double) count;
      first[i] = (float) (BETA1 * first[i] + (1 - BETA1) * g);
      second[i] = (float) (BETA2 * second[i] + (1 - BETA2) * g * g);
      boolean isWeight = i < innerBias || (i >= weight && i < bias);
      double shrink = isWeight ? decay * parameters[i] : 0;
      double update =
          first[i] / correction1 / (Math.sqrt(second[i] / correction2) + EPSILON) + shrink;
      parameters[i] -= (float) (rate * update);
      gradient[i] = 0;
    }
  }

  /** Returns the gradient of a parameter, for tests. */
  float gradient(int parameter) {
    return gradient[parameter];
  }

  /** Changes a parameter, for tests. */
  void nudge(int parameter, float by) {
    parameters[parameter] += by;
  }

  int size() {
    return parameters.length;
  }

  /** Returns the gate for features that are not standardized. */
  GateParameters fold(Moments moments) {
    int firstOut = inner > 0 ? inner : experts;
    int firstWeight = inner > 0 ? 0 : weight;
    int firstBias = inner > 0 ? innerBias : bias;
    float[] foldedWeight = new float[firstOut * features];
    float[] foldedBias = new float[firstOut];
    for (int o = 0; o < firstOut; o++) {
      double b = parameters[firstBias + o];
      for (int f = 0; f < features; f++) {
        double w = parameters[firstWeight + o * features + f] / (double) moments.scale[f];
        foldedWeight[o * features + f] = (float) w;
        b -= w * moments.mean[f];
      }
      foldedBias[o] = (float) b;
    }
    if (inner == 0) {
      return GateParameters.linear(foldedWeight, foldedBias);
    }
    return new GateParameters(
        foldedWeight,
        foldedBias,
        java.util.Arrays.copyOfRange(parameters, weight, bias),
        java.util.Arrays.copyOfRange(parameters, bias, parameters.length));
  }
}
