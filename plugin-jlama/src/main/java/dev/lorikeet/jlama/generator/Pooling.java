package dev.lorikeet.jlama.generator;

import com.github.tjake.jlama.model.functions.Generator.PoolingType;
import dev.lorikeet.model.HiddenObserver;
import dev.lorikeet.model.HiddenPoint;
import dev.lorikeet.tensor.Tensor;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;

/**
 * Makes one vector of the hidden states of a text, of length 1, as Jlama does: their mean, their
 * sum, or in each place the largest, which is at least 0.
 */
final class Pooling implements HiddenObserver {
  private final PoolingType type;
  private final double[] pooled;

  /**
   * Creates it for one text.
   *
   * @param hidden the width of the model
   * @throws UnsupportedOperationException for a pooling of the model's own, which decoders have not
   */
  Pooling(PoolingType type, int hidden) {
    if (type == PoolingType.MODEL) {
      throw new UnsupportedOperationException(
          "pooling: expected AVG, MAX or SUM, since the model has no pooling layer, found MODEL");
    }
    this.type = type;
    this.pooled = new double[hidden];
  }

  @Override
  public void onHidden(HiddenPoint point, int layer, int firstPosition, Tensor rows) {
    if (firstPosition == 0) {
      Arrays.fill(pooled, 0); // the first rows, or all of them anew
    }
    for (int row = 0; row < rows.rows(); row++) {
      long at = row * rows.rowStrideBytes();
      for (int i = 0; i < pooled.length; i++) {
        float value = rows.segment().get(ValueLayout.JAVA_FLOAT, at);
        pooled[i] = type == PoolingType.MAX ? Math.max(pooled[i], value) : pooled[i] + value;
        at += Float.BYTES;
      }
    }
  }

  /** Returns the vector. Mean and sum differ in nothing but their length, which is made 1. */
  float[] vector() {
    double length = Math.sqrt(Arrays.stream(pooled).map(value -> value * value).sum());
    double scale = length == 0 ? 0 : 1 / length;
    float[] vector = new float[pooled.length];
    for (int i = 0; i < vector.length; i++) {
      vector[i] = (float) (pooled[i] * scale);
    }
    return vector;
  }
}
