package dev.lorikeet.jlama.decoder;

import dev.lorikeet.files.family.Families;
import dev.lorikeet.files.model.Architecture;
import dev.lorikeet.files.model.RopeFrequencies;
import dev.lorikeet.jlama.kernel.WeightMatrix;
import dev.lorikeet.jlama.weights.LayerWeights;
import dev.lorikeet.jlama.weights.ModelWeights;
import dev.lorikeet.shape.ModelShape;
import dev.lorikeet.shape.Projection;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Optional;

/**
 * A model's forward pass written as the formulas are, in double precision, over one sequence, with
 * whatever is added to its products.
 */
public final class ReferenceForward {
  private final Architecture config;
  private final ModelShape shape;
  private final ModelWeights weights;
  private final RopeFrequencies rope;

  private ReferenceForward(Architecture config, ModelWeights weights) {
    this.config = config;
    this.shape = config.shape();
    this.weights = weights;
    this.rope = RopeFrequencies.of(config);
  }

  /** What is added to the base model's products. */
  public interface Deltas {
    /** Sees a token's embedding, before the first layer. */
    void embedded(int token, double[] embedding);

    /** Sees the normed input of a layer's attention block. */
    void layerInput(int layer, int token, double[] input);

    /** Adds to a product of a token. */
    void add(int layer, Projection projection, int token, double[] x, double[] y);
  }

  private static final Deltas NONE =
      new Deltas() {
        @Override
        public void embedded(int token, double[] embedding) {}

        @Override
        public void layerInput(int layer, int token, double[] input) {}

        @Override
        public void add(int layer, Projection projection, int token, double[] x, double[] y) {}
      };

  /** Returns the logits after the last token. */
  public static double[] lastLogits(Path directory, int... tokens) {
    return lastLogits(directory, NONE, tokens);
  }

  /** Returns the logits after the last token, with deltas added. */
  public static double[] lastLogits(Path directory, Deltas deltas, int... tokens) {
    Architecture config = Families.read(directory);
    try (ModelWeights weights = ModelWeights.open(directory, config)) {
      return new ReferenceForward(config, weights).last(deltas, tokens);
    }
  }

  /** Returns the logits after every token, with deltas added. */
  public static double[][] logits(
      Architecture config, ModelWeights weights, Deltas deltas, int... tokens) {
    ReferenceForward forward = new ReferenceForward(config, weights);
    double[][] hidden = forward.run(deltas, tokens);
    double[][] logits = new double[tokens.length][];
    for (int t = 0; t < tokens.length; t++) {
      logits[t] = multiply(weights.output(), forward.norm(hidden[t], weights.finalNorm()));
    }
    return logits;
  }

  /** Returns the hidden states behind the final norm, with deltas added. */
  public static double[][] states(
      Architecture config, ModelWeights weights, Deltas deltas, int... tokens) {
    ReferenceForward forward = new ReferenceForward(config, weights);
    double[][] states = forward.run(deltas, tokens);
    for (int t = 0; t < tokens.length; t++) {
      states[t] = forward.norm(states[t], weights.finalNorm());
    }
    return states;
  }

  private double[] last(Deltas deltas, int[] tokens) {
    double[] hidden = run(deltas, tokens)[tokens.length - 1];
    return multiply(weights.output(), norm(hidden, weights.finalNorm()));
  }

  /** Returns the hidden states behind the last layer. */
  private double[][] run(Deltas deltas, int[] tokens) {
    int n = tokens.length;
    double[][] x = new double[n][shape.hidden()];
    for (int t = 0; t < n; t++) {
      for (int i = 0; i < shape.hidden(); i++) {
        x[t][i] = weights.embedding().get(tokens[t], i);
      }
      deltas.embedded(t, x[t].clone());
    }
    for (int l = 0; l < weights.layers().size(); l++) {
      LayerWeights layer = weights.layers().get(l);
      double[][] q = new double[n][];
      double[][] k = new double[n][];
      double[][] v = new double[n][];
      for (int t = 0; t < n; t++) {
        double[] h = norm(x[t], layer.inputNorm());
        deltas.layerInput(l, t, h.clone());
        q[t] = linear(layer.q(), h);
        deltas.add(l, Projection.Q, t, h, q[t]);
        q[t] = rotate(normHeads(q[t], layer.queryNorm()), t);
        k[t] = linear(layer.k(), h);
        deltas.add(l, Projection.K, t, h, k[t]);
        k[t] = rotate(normHeads(k[t], layer.keyNorm()), t);
        v[t] = linear(layer.v(), h);
        deltas.add(l, Projection.V, t, h, v[t]);
      }
      for (int t = 0; t < n; t++) {
        double[] attended = attend(q[t], k, v, t);
        double[] o = linear(layer.o(), attended);
        deltas.add(l, Projection.O, t, attended, o);
        add(x[t], o);
        double[] h = norm(x[t], layer.postAttentionNorm());
        double[] gate = linear(layer.gate(), h);
        deltas.add(l, Projection.GATE, t, h, gate);
        double[] up = linear(layer.up(), h);
        deltas.add(l, Projection.UP, t, h, up);
        for (int i = 0; i < gate.length; i++) {
          gate[i] = gate[i] / (1 + Math.exp(-gate[i])) * up[i];
        }
        double[] down = linear(layer.down(), gate);
        deltas.add(l, Projection.DOWN, t, gate, down);
        add(x[t], down);
      }
    }
    return x;
  }

  private double[] attend(double[] q, double[][] k, double[][] v, int position) {
    int d = shape.headDim();
    double[] out = new double[shape.queryWidth()];
    for (int head = 0; head < shape.heads(); head++) {
      int kvHead = head / (shape.heads() / shape.kvHeads());
      double[] p = new double[position + 1];
      double max = Double.NEGATIVE_INFINITY;
      int first = Math.max(0, position - config.slidingWindow().orElse(Integer.MAX_VALUE) + 1);
      for (int j = first; j <= position; j++) {
        for (int i = 0; i < d; i++) {
          p[j] += q[head * d + i] * k[j][kvHead * d + i];
        }
        p[j] /= Math.sqrt(d);
        max = Math.max(max, p[j]);
      }
      double sum = 0;
      for (int j = first; j <= position; j++) {
        p[j] = Math.exp(p[j] - max);
        sum += p[j];
      }
      for (int j = first; j <= position; j++) {
        for (int i = 0; i < d; i++) {
          out[head * d + i] += p[j] / sum * v[j][kvHead * d + i];
        }
      }
    }
    return out;
  }

  private double[] normHeads(double[] x, Optional<MemorySegment> weight) {
    double[] y = x.clone();
    int d = shape.headDim();
    if (weight.isPresent()) {
      for (int from = 0; from < x.length; from += d) {
        double[] head = norm(Arrays.copyOfRange(x, from, from + d), weight.get());
        System.arraycopy(head, 0, y, from, d);
      }
    }
    return y;
  }

  private double[] rotate(double[] x, int position) {
    int d = shape.headDim();
    double[] inverse = rope.inverse();
    double[] y = new double[x.length];
    for (int head = 0; head < x.length / d; head++) {
      for (int i = 0; i < d / 2; i++) {
        double cos = rope.scale() * Math.cos(position * inverse[i]);
        double sin = rope.scale() * Math.sin(position * inverse[i]);
        double a = x[head * d + i];
        double b = x[head * d + d / 2 + i];
        y[head * d + i] = a * cos - b * sin;
        y[head * d + d / 2 + i] = b * cos + a * sin;
      }
    }
    return y;
  }

  private double[] norm(double[] x, MemorySegment weight) {
    double squares = 0;
    for (double value : x) {
      squares += value * value;
    }
    double scale = 1 / Math.sqrt(squares / x.length + config.normEpsilon());
    double[] y = new double[x.length];
    for (int i = 0; i < x.length; i++) {
      y[i] = x[i] * scale * weight.getAtIndex(ValueLayout.JAVA_FLOAT, i);
    }
    return y;
  }

  private static double[] linear(LayerWeights.Linear linear, double[] x) {
    double[] y = multiply(linear.weight(), x);
    linear
        .bias()
        .ifPresent(
            bias -> {
              for (int i = 0; i < y.length; i++) {
                y[i] += bias.getAtIndex(ValueLayout.JAVA_FLOAT, i);
              }
            });
    return y;
  }

  private static double[] multiply(WeightMatrix weight, double[] x) {
    double[] y = new double[weight.rows()];
    for (int row = 0; row < y.length; row++) {
      for (int i = 0; i < x.length; i++) {
        y[row] += weight.get(row, i) * x[i];
      }
    }
    return y;
  }

  private static void add(double[] x, double[] y) {
    for (int i = 0; i < x.length; i++) {
      x[i] += y[i];
    }
  }
}
