package dev.lorikeet.conformance.model;

import dev.lorikeet.conformance.tensor.MemoryAdapter.Factors;
import dev.lorikeet.shape.ModelShape;
import dev.lorikeet.shape.Projection;
import dev.lorikeet.shape.TargetModule;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/**
 * A llama-shaped decoder in double precision, one token at a time, written to be read beside the
 * paper's formulas: RMS norm, rotary positions (halves rotated), grouped-query attention, SwiGLU.
 */
final class PlainTransformer {
  static final double NORM_EPSILON = 1e-5;
  static final double ROPE_THETA = 10_000;

  final ModelShape shape;
  final float[][] embedding;
  final float[][] head;
  final List<Map<Projection, float[][]>> layers;
  final List<float[]> attentionNorms;
  final List<float[]> mlpNorms;
  final float[] finalNorm;

  PlainTransformer(
      ModelShape shape,
      float[][] embedding,
      List<Map<Projection, float[][]>> layers,
      List<float[]> attentionNorms,
      List<float[]> mlpNorms,
      float[] finalNorm,
      float[][] head) {
    this.shape = shape;
    this.embedding = embedding;
    this.layers = layers;
    this.attentionNorms = attentionNorms;
    this.mlpNorms = mlpNorms;
    this.finalNorm = finalNorm;
    this.head = head;
  }

  /** Decides which adapters a token uses. */
  interface Choice {
    /** Returns the adapters of a token for one layer. */
    List<Share> shares(int layer, double[] layerInput);

    /** Sees the token's embedding before the first layer. */
    default void embedded(double[] embedding) {}

    /** Sees the token's final hidden state, after the last norm. */
    default void finished(double[] hidden) {}
  }

  /** One adapter's part in a token. */
  record Share(List<Factors> adapter, double weight) {}

  /** The same adapters for all tokens. */
  static Choice always(Share... shares) {
    return (layer, input) -> List.of(shares);
  }

  /** Where the keys and values of one sequence lie. */
  interface KeyValues {
    /** Appends the key and the value of the next position of a layer. */
    void append(int layer, double[] key, double[] value);

    /** Returns the keys of a layer, position by position. */
    List<double[]> keys(int layer);

    /** Returns the values of a layer, position by position. */
    List<double[]> values(int layer);
  }

  /** Keys and values as they were computed. */
  private static final class Unrounded implements KeyValues {
    private final List<List<double[]>> keys = new ArrayList<>();
    private final List<List<double[]>> values = new ArrayList<>();

    @Override
    public void append(int layer, double[] key, double[] value) {
      if (layer == keys.size()) {
        keys.add(new ArrayList<>());
        values.add(new ArrayList<>());
      }
      keys.get(layer).add(key);
      values.get(layer).add(value);
    }

    @Override
    public List<double[]> keys(int layer) {
      return keys.get(layer);
    }

    @Override
    public List<double[]> values(int layer) {
      return values.get(layer);
    }
  }

  /** A sequence of tokens, with the keys and values of those before. */
  final class Sequence {
    private final KeyValues memory;
    private int position;

    Sequence() {
      this(new Unrounded());
    }

    Sequence(KeyValues memory) {
      this.memory = memory;
    }

    int length() {
      return position;
    }

    /** Appends a token and returns the logits of the next. */
    double[] next(int token, Choice choice) {
      double[] h = widen(embedding[token]);
      choice.embedded(h.clone());
      for (int layer = 0; layer < shape.layers(); layer++) {
        double[] x = norm(h, attentionNorms.get(layer));
        List<Share> shares = choice.shares(layer, x.clone());
        double[] q = rotate(linear(layer, Projection.Q, x, shares), shape.heads());
        memory.append(
            layer,
            rotate(linear(layer, Projection.K, x, shares), shape.kvHeads()),
            linear(layer, Projection.V, x, shares));
        add(h, linear(layer, Projection.O, attend(layer, q), shares));

        double[] m = norm(h, mlpNorms.get(layer));
        double[] gate = linear(layer, Projection.GATE, m, shares);
        double[] up = linear(layer, Projection.UP, m, shares);
        for (int i = 0; i < gate.length; i++) {
          up[i] *= gate[i] / (1 + Math.exp(-gate[i]));
        }
        add(h, linear(layer, Projection.DOWN, up, shares));
      }
      double[] last = norm(h, finalNorm);
      choice.finished(last.clone());
      position++;
      return product(head, last);
    }

    private double[] rotate(double[] heads, int count) {
      int width = shape.headDim();
      double[] rotated = new double[heads.length];
      for (int head = 0; head < count; head++) {
        for (int i = 0; i < width / 2; i++) {
          double angle = position * Math.pow(ROPE_THETA, -2.0 * i / width);
          double a = heads[head * width + i];
          double b = heads[head * width + i + width / 2];
          rotated[head * width + i] = a * Math.cos(angle) - b * Math.sin(angle);
          rotated[head * width + i + width / 2] = b * Math.cos(angle) + a * Math.sin(angle);
        }
      }
      return rotated;
    }

    private double[] attend(int layer, double[] q) {
      int width = shape.headDim();
      int group = shape.heads() / shape.kvHeads();
      double[] out = new double[q.length];
      List<double[]> k = memory.keys(layer);
      List<double[]> v = memory.values(layer);
      for (int head = 0; head < shape.heads(); head++) {
        int from = head / group * width;
        double[] scores = new double[k.size()];
        double largest = Double.NEGATIVE_INFINITY;
        for (int p = 0; p < scores.length; p++) {
          for (int i = 0; i < width; i++) {
            scores[p] += q[head * width + i] * k.get(p)[from + i] / Math.sqrt(width);
          }
          largest = Math.max(largest, scores[p]);
        }
        double sum = 0;
        for (int p = 0; p < scores.length; p++) {
          scores[p] = Math.exp(scores[p] - largest);
          sum += scores[p];
        }
        for (int p = 0; p < scores.length; p++) {
          for (int i = 0; i < width; i++) {
            out[head * width + i] += scores[p] / sum * v.get(p)[from + i];
          }
        }
      }
      return out;
    }
  }

  private double[] linear(int layer, Projection projection, double[] x, List<Share> shares) {
    float[][] weights = layers.get(layer).getOrDefault(projection, new float[0][0]);
    double[] y = product(weights, x);
    TargetModule module = TargetModule.of(layer, projection);
    for (Share share : shares) {
      for (Factors f : share.adapter) {
        if (f.target().equals(module)) {
          addDelta(f, share.weight, x, y);
        }
      }
    }
    return y;
  }

  private static void addDelta(Factors f, double weight, double[] x, double[] y) {
    for (int r = 0; r < f.rank(); r++) {
      double h = 0;
      for (int i = 0; i < f.a()[r].length; i++) {
        h += f.a()[r][i] * x[f.aStart(r) + i];
      }
      for (int o = 0; o < f.b()[r].length; o++) {
        y[f.bStart(r) + o] += weight * f.scaling() * f.b()[r][o] * h;
      }
    }
  }

  private static double[] product(float[][] rows, double[] x) {
    double[] y = new double[rows.length];
    for (int o = 0; o < y.length; o++) {
      double sum = 0;
      for (int i = 0; i < x.length; i++) {
        sum += rows[o][i] * x[i];
      }
      y[o] = sum;
    }
    return y;
  }

  private static double[] norm(double[] h, float[] weights) {
    double squares = 0;
    for (double value : h) {
      squares += value * value;
    }
    double factor = 1 / Math.sqrt(squares / h.length + NORM_EPSILON);
    double[] normed = new double[h.length];
    for (int i = 0; i < h.length; i++) {
      normed[i] = h[i] * factor * weights[i];
    }
    return normed;
  }

  private static double[] widen(float[] row) {
    double[] wide = new double[row.length];
    for (int i = 0; i < row.length; i++) {
      wide[i] = row[i];
    }
    return wide;
  }

  private static void add(double[] h, double[] delta) {
    for (int i = 0; i < h.length; i++) {
      h[i] += delta[i];
    }
  }
}
