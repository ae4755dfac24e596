package dev.lorikeet.jlama.kernel;

/** The plain twin of {@link VectorSequenceAttention}: the definition, in float64. */
final class ScalarSequenceAttention implements SequenceAttention {
  @Override
  public void attend(
      Shape shape,
      int[] starts,
      Inputs inputs,
      Outputs outputs,
      SequenceScratch scratch,
      Shard shard) {
    int units = SequenceAttention.check(shape, starts, inputs, outputs) * shape.kvHeads();
    int d = shape.headDim();
    for (int unit = shard.first(units); unit < shard.end(units); unit++) {
      int start = starts[unit / shape.kvHeads()];
      int end = starts[unit / shape.kvHeads() + 1];
      int kvHead = unit % shape.kvHeads();
      if (!shard.beginStore()) {
        return;
      }
      for (int head = kvHead * shape.group(); head < (kvHead + 1) * shape.group(); head++) {
        for (int token = start; token < end; token++) {
          int first = start + shape.firstSeen(token - start);
          double[] weights = new double[token + 1 - first];
          double max = Double.NEGATIVE_INFINITY;
          for (int j = first; j <= token; j++) {
            weights[j - first] = score(shape, inputs, token, head, j, kvHead);
            max = Math.max(max, weights[j - first]);
          }
          double sum = 0;
          for (int j = 0; j < weights.length; j++) {
            weights[j] = Math.exp(weights[j] - max);
            sum += weights[j];
          }
          for (int i = 0; i < d; i++) {
            double out = 0;
            for (int j = 0; j < weights.length; j++) {
              out += weights[j] / sum * inputs.v().get(first + j, kvHead * d + i);
            }
            outputs.out().set(token, head * d + i, (float) out);
          }
          outputs.logSumExp().set(token, head, (float) (max + Math.log(sum)));
        }
      }
      shard.endStore();
    }
  }

  private static double score(
      Shape shape, Inputs inputs, int token, int head, int key, int kvHead) {
    double score = 0;
    int d = shape.headDim();
    for (int i = 0; i < d; i++) {
      score += (double) inputs.q().get(token, head * d + i) * inputs.k().get(key, kvHead * d + i);
    }
    return score / Math.sqrt(d);
  }

  @Override
  public void back(
      Shape shape,
      int[] starts,
      Inputs inputs,
      Outputs outputs,
      Rows dOut,
      Inputs gradients,
      SequenceScratch scratch,
      Shard shard) {
    int units = SequenceAttention.check(shape, starts, inputs, outputs) * shape.kvHeads();
    SequenceAttention.check(shape, starts[starts.length - 1], gradients);
    for (int unit = shard.first(units); unit < shard.end(units); unit++) {
      int start = starts[unit / shape.kvHeads()];
      int end = starts[unit / shape.kvHeads() + 1];
      if (!shard.beginStore()) {
        return;
      }
      back(shape, start, end, unit % shape.kvHeads(), inputs, outputs, dOut, gradients);
      shard.endStore();
    }
  }

  private static void back(
      Shape shape,
      int start,
      int end,
      int kvHead,
      Inputs inputs,
      Outputs outputs,
      Rows dOut,
      Inputs gradients) {
    int d = shape.headDim();
    int kv = kvHead * d;
    double[][] dk = new double[end - start][d];
    double[][] dv = new double[end - start][d];
    for (int head = kvHead * shape.group(); head < (kvHead + 1) * shape.group(); head++) {
      for (int token = start; token < end; token++) {
        double[] dq = new double[d];
        double shift = 0;
        for (int i = 0; i < d; i++) {
          shift += (double) dOut.get(token, head * d + i) * outputs.out().get(token, head * d + i);
        }
        for (int j = start + shape.firstSeen(token - start); j <= token; j++) {
          double score = score(shape, inputs, token, head, j, kvHead);
          double weight = Math.exp(score - outputs.logSumExp().get(token, head));
          double dWeight = 0;
          for (int i = 0; i < d; i++) {
            dWeight += (double) dOut.get(token, head * d + i) * inputs.v().get(j, kv + i);
          }
          double dScore = weight * (dWeight - shift) / Math.sqrt(d);
          for (int i = 0; i < d; i++) {
            dq[i] += dScore * inputs.k().get(j, kv + i);
            dk[j - start][i] += dScore * inputs.q().get(token, head * d + i);
            dv[j - start][i] += weight * dOut.get(token, head * d + i);
          }
        }
        for (int i = 0; i < d; i++) {
          gradients.q().set(token, head * d + i, (float) dq[i]);
        }
      }
    }
    for (int j = start; j < end; j++) {
      for (int i = 0; i < d; i++) {
        gradients.k().set(j, kv + i, (float) dk[j - start][i]);
        gradients.v().set(j, kv + i, (float) dv[j - start][i]);
      }
    }
  }
}
