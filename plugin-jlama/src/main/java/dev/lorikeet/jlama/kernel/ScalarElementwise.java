package dev.lorikeet.jlama.kernel;

import dev.lorikeet.host.step.Positions;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** The plain twin of {@link VectorElementwise}: transcendental functions and sums in float64. */
final class ScalarElementwise implements Elementwise {
  private static final ValueLayout.OfFloat F32 = ValueLayout.JAVA_FLOAT;

  @Override
  public void rmsNorm(
      Rows x, MemorySegment weight, float epsilon, Rows y, int tokens, Shard shard) {
    int columns = x.columns();
    x.check("x", tokens, columns);
    y.check("y", tokens, columns);
    for (int token = shard.first(tokens); token < shard.end(tokens); token++) {
      rmsNorm(x, weight, epsilon, y, token, 0, columns);
    }
  }

  @Override
  public void rmsNormHeads(Rows x, MemorySegment weight, float epsilon, int tokens, Shard shard) {
    x.check("x", tokens, x.columns());
    int headDim = Elementwise.headDim(x, weight);
    for (int token = shard.first(tokens); token < shard.end(tokens); token++) {
      for (int from = 0; from < x.columns(); from += headDim) {
        rmsNorm(x, weight, epsilon, x, token, from, headDim);
      }
    }
  }

  private static void rmsNorm(
      Rows x, MemorySegment weight, float epsilon, Rows y, int token, int from, int columns) {
    double squares = 0;
    for (int i = 0; i < columns; i++) {
      double value = x.get(token, from + i);
      squares += value * value;
    }
    float scale = (float) (1 / Math.sqrt(squares / columns + epsilon));
    for (int i = 0; i < columns; i++) {
      y.set(token, from + i, x.get(token, from + i) * scale * weight.getAtIndex(F32, i));
    }
  }

  @Override
  public void layerNorm(
      Rows x,
      MemorySegment weight,
      MemorySegment bias,
      float epsilon,
      Rows y,
      int tokens,
      Shard shard) {
    int columns = x.columns();
    x.check("x", tokens, columns);
    y.check("y", tokens, columns);
    for (int token = shard.first(tokens); token < shard.end(tokens); token++) {
      double sum = 0;
      for (int i = 0; i < columns; i++) {
        sum += x.get(token, i);
      }
      double mean = sum / columns;
      double squares = 0;
      for (int i = 0; i < columns; i++) {
        double value = x.get(token, i) - mean;
        squares += value * value;
      }
      double scale = 1 / Math.sqrt(squares / columns + epsilon);
      for (int i = 0; i < columns; i++) {
        double value = (x.get(token, i) - mean) * scale;
        y.set(token, i, (float) (value * weight.getAtIndex(F32, i) + bias.getAtIndex(F32, i)));
      }
    }
  }

  @Override
  public void add(Rows x, Rows y, int tokens, Shard shard) {
    x.check("x", tokens, x.columns());
    y.check("y", tokens, x.columns());
    for (int token = shard.first(tokens); token < shard.end(tokens); token++) {
      for (int i = 0; i < x.columns(); i++) {
        y.set(token, i, y.get(token, i) + x.get(token, i));
      }
    }
  }

  @Override
  public void addScaled(Rows x, float factor, Rows y, int tokens, Shard shard) {
    x.check("x", tokens, x.columns());
    y.check("y", tokens, x.columns());
    for (int token = shard.first(tokens); token < shard.end(tokens); token++) {
      for (int i = 0; i < x.columns(); i++) {
        y.set(token, i, Math.fma(x.get(token, i), factor, y.get(token, i)));
      }
    }
  }

  @Override
  public void addExperts(ExpertGroups groups, Rows outputs, Rows y, int tokens, Shard shard) {
    outputs.check("outputs", tokens * groups.perToken(), y.columns());
    y.check("y", tokens, y.columns());
    for (int token = shard.first(tokens); token < shard.end(tokens); token++) {
      for (int index = 0; index < groups.perToken(); index++) {
        int entry = groups.entry(token, index);
        for (int i = 0; i < y.columns(); i++) {
          float sum = Math.fma(outputs.get(entry, i), groups.weight(entry), y.get(token, i));
          y.set(token, i, sum);
        }
      }
    }
  }

  @Override
  public void addBias(MemorySegment bias, Rows y, int tokens, Shard shard) {
    y.check("y", tokens, y.columns());
    for (int token = 0; token < tokens; token++) {
      for (int i = shard.first(y.columns()); i < shard.end(y.columns()); i++) {
        y.set(token, i, y.get(token, i) + bias.getAtIndex(F32, i));
      }
    }
  }

  @Override
  public void addAffine(MemorySegment slope, MemorySegment offset, float weight, Rows y, int row) {
    y.check("y", row + 1, y.columns());
    for (int i = 0; i < y.columns(); i++) {
      float value = y.get(row, i);
      float change = Math.fma(slope.getAtIndex(F32, i), value, offset.getAtIndex(F32, i));
      y.set(row, i, Math.fma(weight, change, value));
    }
  }

  /** An activation function, in double precision within. */
  private interface Activation {
    float of(float x);
  }

  private static void gated(
      Activation activation, Rows gate, Rows up, Rows y, int tokens, Shard shard) {
    gate.check("gate", tokens, gate.columns());
    up.check("up", tokens, gate.columns());
    y.check("y", tokens, gate.columns());
    for (int token = shard.first(tokens); token < shard.end(tokens); token++) {
      for (int i = 0; i < gate.columns(); i++) {
        y.set(token, i, activation.of(gate.get(token, i)) * up.get(token, i));
      }
    }
  }

  private static void ungated(Activation activation, Rows x, Rows y, int tokens, Shard shard) {
    x.check("x", tokens, x.columns());
    y.check("y", tokens, x.columns());
    for (int token = shard.first(tokens); token < shard.end(tokens); token++) {
      for (int i = 0; i < x.columns(); i++) {
        y.set(token, i, activation.of(x.get(token, i)));
      }
    }
  }

  @Override
  public void swiGlu(Rows gate, Rows up, Rows y, int tokens, Shard shard) {
    gated(g -> (float) (g / (1 + Math.exp(-g))), gate, up, y, tokens, shard);
  }

  @Override
  public void geGlu(Rows gate, Rows up, Rows y, int tokens, Shard shard) {
    gated(ScalarElementwise::gelu, gate, up, y, tokens, shard);
  }

  @Override
  public void gelu(Rows x, Rows y, int tokens, Shard shard) {
    ungated(ScalarElementwise::gelu, x, y, tokens, shard);
  }

  @Override
  public void erfGeGlu(Rows gate, Rows up, Rows y, int tokens, Shard shard) {
    gated(Erf::gelu, gate, up, y, tokens, shard);
  }

  @Override
  public void erfGelu(Rows x, Rows y, int tokens, Shard shard) {
    ungated(Erf::gelu, x, y, tokens, shard);
  }

  private static float gelu(double x) {
    double u = Math.sqrt(2 / Math.PI) * (x + 0.044715 * x * x * x);
    return x == Double.NEGATIVE_INFINITY ? 0 : (float) (x / (1 + Math.exp(-2 * u)));
  }

  @Override
  public void rope(Rows x, RopeTable table, Positions positions, int tokens, Shard shard) {
    int half = table.half();
    x.check("x", tokens, table.heads(x) * table.headDim());
    for (int token = shard.first(tokens); token < shard.end(tokens); token++) {
      int position = table.checkPosition(positions.position(token));
      for (int head = 0; head < table.heads(x); head++) {
        for (int i = 0; i < half; i++) {
          int low = head * table.headDim() + i;
          float a = x.get(token, low);
          float b = x.get(token, low + half);
          float c = table.cos().get(position, i);
          float s = table.sin().get(position, i);
          x.set(token, low, a * c - b * s);
          x.set(token, low + half, b * c + a * s);
        }
      }
    }
  }

  @Override
  public void softmax(Rows x, int row) {
    double max = Double.NEGATIVE_INFINITY;
    for (int i = 0; i < x.columns(); i++) {
      max = Math.max(max, x.get(row, i));
    }
    double sum = 0;
    for (int i = 0; i < x.columns(); i++) {
      sum += Math.exp(x.get(row, i) - max);
    }
    for (int i = 0; i < x.columns(); i++) {
      x.set(row, i, (float) (Math.exp(x.get(row, i) - max) / sum));
    }
  }

  @Override
  public void cap(Rows x, int row, float factor, float cap) {
    Elementwise.checkCap(cap);
    for (int i = 0; i < x.columns(); i++) {
      double scaled = (double) x.get(row, i) * factor;
      x.set(row, i, (float) (cap == 0 ? scaled : cap * Math.tanh(scaled / cap)));
    }
  }

  @Override
  public int argmax(Rows x, int row) {
    int best = 0;
    float most = Float.NEGATIVE_INFINITY;
    for (int i = 0; i < x.columns(); i++) {
      float value = x.get(row, i);
      if (value > most) {
        most = value;
        best = i;
      }
    }
    return best;
  }
}
