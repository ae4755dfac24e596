package dev.lorikeet.jlama.kernel;

import dev.lorikeet.host.step.Positions;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** The plain twin of {@link VectorBackElementwise}: everything in float64. */
final class ScalarBackElementwise implements BackElementwise {
  @Override
  public void addRmsNorm(
      Rows x, MemorySegment weight, float epsilon, Rows dy, Rows dx, int tokens, Shard shard) {
    int columns = x.columns();
    x.check("x", tokens, columns);
    dy.check("dy", tokens, columns);
    dx.check("dx", tokens, columns);
    for (int token = shard.first(tokens); token < shard.end(tokens); token++) {
      double[] gradient = rmsNorm(x, weight, epsilon, dy, token, 0, columns);
      for (int i = 0; i < columns; i++) {
        dx.set(token, i, (float) (dx.get(token, i) + gradient[i]));
      }
    }
  }

  @Override
  public void rmsNormHeads(
      Rows x, MemorySegment weight, float epsilon, Rows d, int tokens, Shard shard) {
    x.check("x", tokens, x.columns());
    d.check("d", tokens, x.columns());
    int headDim = Elementwise.headDim(x, weight);
    for (int token = shard.first(tokens); token < shard.end(tokens); token++) {
      for (int from = 0; from < x.columns(); from += headDim) {
        double[] gradient = rmsNorm(x, weight, epsilon, d, token, from, headDim);
        for (int i = 0; i < headDim; i++) {
          d.set(token, from + i, (float) gradient[i]);
        }
      }
    }
  }

  private static double[] rmsNorm(
      Rows x, MemorySegment weight, float epsilon, Rows dy, int token, int from, int columns) {
    double squares = 0;
    double products = 0;
    for (int i = 0; i < columns; i++) {
      double value = x.get(token, from + i);
      squares += value * value;
      products += value * dy.get(token, from + i) * weight.getAtIndex(ValueLayout.JAVA_FLOAT, i);
    }
    double scale = 1 / Math.sqrt(squares / columns + epsilon);
    double[] gradient = new double[columns];
    for (int i = 0; i < columns; i++) {
      double w = weight.getAtIndex(ValueLayout.JAVA_FLOAT, i);
      gradient[i] =
          scale
              * (w * dy.get(token, from + i)
                  - x.get(token, from + i) * scale * scale * products / columns);
    }
    return gradient;
  }

  @Override
  public void rope(Rows d, RopeTable table, Positions positions, int tokens, Shard shard) {
    int half = table.half();
    d.check("d", tokens, table.heads(d) * table.headDim());
    for (int token = shard.first(tokens); token < shard.end(tokens); token++) {
      int position = table.checkPosition(positions.position(token));
      for (int head = 0; head < table.heads(d); head++) {
        for (int i = 0; i < half; i++) {
          int low = head * table.headDim() + i;
          float a = d.get(token, low);
          float b = d.get(token, low + half);
          float c = table.cos().get(position, i);
          float s = table.sin().get(position, i);
          d.set(token, low, a * c + b * s);
          d.set(token, low + half, b * c - a * s);
        }
      }
    }
  }

  @Override
  public void swiGlu(Rows dy, Rows gate, Rows up, int tokens, Shard shard) {
    dy.check("dy", tokens, dy.columns());
    gate.check("gate", tokens, dy.columns());
    up.check("up", tokens, dy.columns());
    for (int token = shard.first(tokens); token < shard.end(tokens); token++) {
      for (int i = 0; i < dy.columns(); i++) {
        double g = gate.get(token, i);
        double sigmoid = 1 / (1 + Math.exp(-g));
        double d = dy.get(token, i);
        gate.set(token, i, (float) (d * up.get(token, i) * sigmoid * (1 + g * (1 - sigmoid))));
        up.set(token, i, (float) (d * g * sigmoid));
      }
    }
  }
}
