package dev.lorikeet.jlama.lora;

import dev.lorikeet.adapter.LoraFactor;
import dev.lorikeet.adapter.LoraWeights;
import dev.lorikeet.executor.LoraBatch;
import dev.lorikeet.executor.MergePlan;
import dev.lorikeet.executor.TargetGroup;
import dev.lorikeet.tensor.Tensor;
import java.util.List;

/** Deltas and merged weights over dense matrices in double; and how far F32 may be from them. */
final class LoraReference {
  private LoraReference() {}

  /** A dense {@code [rank, width]} copy. */
  static double[][] dense(LoraFactor factor) {
    double[][] dense = new double[factor.rank()][factor.width()];
    int rowsPerBlock = factor.rank() / factor.blocks();
    int length = factor.width() / factor.blocks();
    for (int r = 0; r < factor.rank(); r++) {
      for (int j = 0; j < length; j++) {
        long offset = factor.rowOffset(r) + (long) j * factor.type().bytes();
        dense[r][r / rowsPerBlock * length + j] = factor.type().read(factor.memory(), offset);
      }
    }
    return dense;
  }

  static float at(Tensor tensor, long row, long column) {
    long offset = (row * tensor.rowStride() + column) * tensor.type().bytes();
    return tensor.type().read(tensor.segment(), offset);
  }

  /**
   * Returns y after the delta and, beside it, the sum of the magnitudes of all products: {@code
   * [0][token][o]} and {@code [1][token][o]}.
   */
  static double[][][] addDelta(TargetGroup targets, int i, LoraBatch batch, Tensor x, Tensor y) {
    int rows = Math.toIntExact(y.rows());
    int out = Math.toIntExact(y.columns());
    double[][][] result = new double[2][rows][out];
    for (int t = 0; t < rows; t++) {
      for (int o = 0; o < out; o++) {
        result[0][t][o] = at(y, t, o);
        result[1][t][o] = Math.abs(result[0][t][o]);
      }
    }
    for (int s = 0; s < batch.segments(); s++) {
      var found = batch.adapter(s).weights(targets.targets().get(i));
      if (found.isEmpty()) {
        continue;
      }
      LoraWeights weights = found.get();
      double[][] a = dense(weights.a());
      double[][] b = dense(weights.b());
      for (int e = batch.segmentStart(s); e < batch.segmentEnd(s); e++) {
        int t = batch.token(e);
        double factor = (double) batch.weight(e) * weights.scaling();
        for (int r = 0; r < weights.rank(); r++) {
          double sum = 0;
          double magnitude = 0;
          for (int j = 0; j < a[r].length; j++) {
            sum += a[r][j] * at(x, t, j);
            magnitude += Math.abs(a[r][j] * at(x, t, j));
          }
          for (int o = 0; o < out; o++) {
            result[0][t][o] += factor * b[r][o] * sum;
            result[1][t][o] += Math.abs(factor * b[r][o]) * magnitude;
          }
        }
      }
    }
    return result;
  }

  /** Returns the merged weights before rounding and the magnitudes of what they are sums of. */
  static double[][][] merged(MergePlan.Target target, List<MergePlan.Share> mixture) {
    int out = Math.toIntExact(target.pristine().rows());
    int in = Math.toIntExact(target.pristine().columns());
    double[][][] result = new double[2][out][in];
    for (int o = 0; o < out; o++) {
      for (int j = 0; j < in; j++) {
        result[0][o][j] = at(target.pristine(), o, j);
        result[1][o][j] = Math.abs(result[0][o][j]);
      }
    }
    for (MergePlan.Share share : mixture) {
      var found = share.adapter().weights(target.module());
      if (found.isEmpty()) {
        continue;
      }
      double[][] a = dense(found.get().a());
      double[][] b = dense(found.get().b());
      double factor = (double) share.weight() * found.get().scaling();
      for (int r = 0; r < a.length; r++) {
        for (int o = 0; o < out; o++) {
          double c = factor * b[r][o];
          for (int j = 0; j < in; j++) {
            result[0][o][j] += c * a[r][j];
            result[1][o][j] += Math.abs(c * a[r][j]);
          }
        }
      }
    }
    return result;
  }
}
