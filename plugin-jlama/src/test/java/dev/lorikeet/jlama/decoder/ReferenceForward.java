package dev.lorikeet.jlama.decoder;

import dev.lorikeet.files.family.Families;
import dev.lorikeet.files.model.Architecture;
import dev.lorikeet.files.model.Attention;
import dev.lorikeet.files.model.Experts;
import dev.lorikeet.files.model.Multipliers;
import dev.lorikeet.files.model.Norm.Place;
import dev.lorikeet.files.model.Rope;
import dev.lorikeet.files.model.RopeFrequencies;
import dev.lorikeet.jlama.kernel.WeightMatrix;
import dev.lorikeet.jlama.weights.ExpertWeights;
import dev.lorikeet.jlama.weights.LayerWeights;
import dev.lorikeet.jlama.weights.ModelWeights;
import dev.lorikeet.shape.ModelShape;
import dev.lorikeet.shape.Projection;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.stream.IntStream;

/**
 * A model's forward pass written as the formulas are, in double precision, over one sequence, with
 * whatever is added to its products.
 */
public final class ReferenceForward {
  private final Architecture config;
  private final ModelShape shape;
  private final ModelWeights weights;

  private ReferenceForward(Architecture config, ModelWeights weights) {
    this.config = config;
    this.shape = config.shape();
    this.weights = weights;
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
      logits[t] = forward.output(hidden[t]);
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
    return output(hidden);
  }

  private double[] output(double[] hidden) {
    double[] logits = multiply(weights.output(), norm(hidden, weights.finalNorm()));
    Multipliers m = config.multipliers();
    for (int i = 0; i < logits.length; i++) {
      logits[i] *= m.logits();
      if (m.logitCap() != 0) {
        logits[i] = m.logitCap() * Math.tanh(logits[i] / m.logitCap());
      }
    }
    return logits;
  }

  private double embeddingFactor() {
    double factor = config.multipliers().embedding();
    return config.multipliers().roundedToWeights()
            && weights.embedding() instanceof WeightMatrix.Floats floats
        ? floats.type().round((float) factor)
        : factor;
  }

  /** Returns the hidden states behind the last layer. */
  private double[][] run(Deltas deltas, int[] tokens) {
    int n = tokens.length;
    double[][] x = new double[n][shape.hidden()];
    for (int t = 0; t < n; t++) {
      for (int i = 0; i < shape.hidden(); i++) {
        x[t][i] = weights.embedding().get(tokens[t], i) * embeddingFactor();
        if (weights.positions().isPresent()) {
          x[t][i] += weights.positions().get().get(t, i);
        }
      }
      deltas.embedded(t, x[t].clone());
    }
    for (int l = 0; l < weights.layers().size(); l++) {
      LayerWeights layer = weights.layers().get(l);
      Optional<Rope> rope = config.attention().layers().get(l).rope();
      double[][] q = new double[n][];
      double[][] k = new double[n][];
      double[][] v = new double[n][];
      for (int t = 0; t < n; t++) {
        double[] h = norm(x[t], layer.norm(Place.ATTENTION_INPUT));
        deltas.layerInput(l, t, h.clone());
        q[t] = linear(layer.q(), h);
        deltas.add(l, Projection.Q, t, h, q[t]);
        q[t] = scaled(rotate(normOfQueryOrKey(q[t], layer.queryNorm()), t, rope), t);
        k[t] = linear(layer.k(), h);
        deltas.add(l, Projection.K, t, h, k[t]);
        k[t] = rotate(normOfQueryOrKey(k[t], layer.keyNorm()), t, rope);
        v[t] = linear(layer.v(), h);
        deltas.add(l, Projection.V, t, h, v[t]);
      }
      for (int t = 0; t < n; t++) {
        double[] attended = attend(l, q[t], k, v, t);
        double[] o = linear(layer.o(), attended);
        deltas.add(l, Projection.O, t, attended, o);
        add(x[t], norm(o, layer.norm(Place.ATTENTION_OUTPUT)));
        double[] h = norm(x[t], layer.norm(Place.MLP_INPUT));
        if (layer.experts().isPresent()) {
          add(x[t], mixture(layer.experts().get(), h));
          continue;
        }
        double[] active = mlp(l, layer, h, t, deltas);
        double[] down = linear(layer.down(), active);
        deltas.add(l, Projection.DOWN, t, active, down);
        add(x[t], norm(down, layer.norm(Place.MLP_OUTPUT)));
      }
    }
    return x;
  }

  private double[] mlp(int l, LayerWeights layer, double[] h, int t, Deltas deltas) {
    double[] up = linear(layer.up(), h);
    deltas.add(l, Projection.UP, t, h, up);
    double[] gate = up;
    if (config.mlp().gated()) {
      gate = linear(layer.gate(), h);
      deltas.add(l, Projection.GATE, t, h, gate);
    }
    double[] active = new double[up.length];
    for (int i = 0; i < active.length; i++) {
      active[i] = activate(gate[i]) * (config.mlp().gated() ? up[i] : 1);
    }
    return active;
  }

  /** The experts of the largest logits, weighted by the softmax over theirs or over all. */
  private double[] mixture(ExpertWeights layer, double[] h) {
    Experts experts = config.experts().orElseThrow();
    double[] logits = multiply(layer.router(), h);
    List<Integer> chosen =
        IntStream.range(0, logits.length)
            .boxed()
            .sorted(Comparator.comparingDouble((Integer e) -> -logits[e]))
            .limit(experts.perToken())
            .toList();
    double total =
        experts.renormalized()
            ? chosen.stream().mapToDouble(e -> Math.exp(logits[e])).sum()
            : Arrays.stream(logits).map(Math::exp).sum();
    double[] sum = new double[h.length];
    for (int e : chosen) {
      ExpertWeights.Expert expert = layer.experts().get(e);
      double[] active = multiply(expert.gate(), h);
      double[] up = multiply(expert.up(), h);
      for (int i = 0; i < active.length; i++) {
        active[i] = activate(active[i]) * up[i];
      }
      double[] down = multiply(expert.down(), active);
      for (int i = 0; i < sum.length; i++) {
        sum[i] += Math.exp(logits[e]) / total * down[i];
      }
    }
    return sum;
  }

  private double activate(double x) {
    return switch (config.mlp().activation()) {
      case SILU -> x / (1 + Math.exp(-x));
      case GELU_TANH ->
          x / 2 * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x * x * x)));
      case GELU -> x / 2 + x / 2 * erf(x / Math.sqrt(2));
    };
  }

  /** By Simpson's rule over the density, which is smooth enough for float64 with small steps. */
  private static double erf(double x) {
    double end = Math.clamp(x, -6.5, 6.5);
    int steps = 400;
    double h = end / steps;
    double sum = 1 + Math.exp(-end * end);
    for (int i = 1; i < steps; i++) {
      sum += (i % 2 == 0 ? 2 : 4) * Math.exp(-(i * h) * (i * h));
    }
    return 2 / Math.sqrt(Math.PI) * h / 3 * sum;
  }

  private double[] attend(int layer, double[] q, double[][] k, double[][] v, int position) {
    int d = shape.headDim();
    Attention attention = config.attention();
    double[] out = new double[shape.queryWidth()];
    for (int head = 0; head < shape.heads(); head++) {
      int kvHead = head / (shape.heads() / shape.kvHeads());
      double[] p = new double[position + 1];
      double max = Double.NEGATIVE_INFINITY;
      int window = attention.layers().get(layer).window().orElse(Integer.MAX_VALUE);
      int first = Math.max(0, position - window + 1);
      for (int j = first; j <= position; j++) {
        for (int i = 0; i < d; i++) {
          p[j] += q[head * d + i] * k[j][kvHead * d + i];
        }
        p[j] *= attention.scale().orElse(1 / Math.sqrt(d));
        if (attention.softCap().isPresent()) {
          double cap = attention.softCap().getAsDouble();
          p[j] = cap * Math.tanh(p[j] / cap);
        }
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

  /** The weights tell whether heads are normalized or the whole row. */
  private double[] normOfQueryOrKey(double[] x, Optional<MemorySegment> weight) {
    double[] y = x.clone();
    if (weight.isPresent()) {
      int width = (int) (weight.get().byteSize() / Float.BYTES);
      for (int from = 0; from < x.length; from += width) {
        double[] part = Arrays.copyOfRange(x, from, from + width);
        System.arraycopy(norm(part, weight.get(), Optional.empty()), 0, y, from, width);
      }
    }
    return y;
  }

  private double[] rotate(double[] x, int position, Optional<Rope> rope) {
    if (rope.isEmpty()) {
      return x;
    }
    int d = shape.headDim();
    RopeFrequencies frequencies = RopeFrequencies.of(d, rope.get());
    double[] inverse = frequencies.inverse();
    double[] y = x.clone();
    for (int head = 0; head < x.length / d; head++) {
      for (int i = 0; i < inverse.length; i++) {
        double cos = frequencies.scale() * Math.cos(position * inverse[i]);
        double sin = frequencies.scale() * Math.sin(position * inverse[i]);
        double a = x[head * d + i];
        double b = x[head * d + inverse.length + i];
        y[head * d + i] = a * cos - b * sin;
        y[head * d + inverse.length + i] = b * cos + a * sin;
      }
    }
    return y;
  }

  private double[] scaled(double[] query, int position) {
    if (config.attention().queryScaling().isEmpty()) {
      return query;
    }
    Attention.QueryScaling scaling = config.attention().queryScaling().get();
    double step = Math.floor((double) position / scaling.positions());
    return Arrays.stream(query).map(v -> v * (1 + scaling.beta() * Math.log(1 + step))).toArray();
  }

  private double[] norm(double[] x, Optional<LayerWeights.Norm> norm) {
    return norm.isPresent() ? norm(x, norm.get()) : x.clone();
  }

  private double[] norm(double[] x, LayerWeights.Norm norm) {
    return norm(x, norm.weight(), norm.bias());
  }

  private double[] norm(double[] x, MemorySegment weight, Optional<MemorySegment> bias) {
    double mean = bias.isPresent() ? Arrays.stream(x).sum() / x.length : 0;
    double squares = 0;
    for (double value : x) {
      squares += (value - mean) * (value - mean);
    }
    double scale = 1 / Math.sqrt(squares / x.length + config.norm().epsilon());
    double[] y = new double[x.length];
    for (int i = 0; i < x.length; i++) {
      y[i] = (x[i] - mean) * scale * weight.getAtIndex(ValueLayout.JAVA_FLOAT, i);
      if (bias.isPresent()) {
        y[i] += bias.get().getAtIndex(ValueLayout.JAVA_FLOAT, i);
      }
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

  private void add(double[] x, double[] y) {
    for (int i = 0; i < x.length; i++) {
      x[i] += config.multipliers().residual() * y[i];
    }
  }
}
