package dev.lorikeet.host.router;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorSpecies;

/** The product of a small matrix with one vector, on the Vector API. */
final class VectorAffine {
  /** The most lanes that a vector has. */
  static final int MAX_LANES = 16;

  private static final VectorSpecies<Float> F =
      FloatVector.SPECIES_PREFERRED.length() > 16
          ? FloatVector.SPECIES_512
          : FloatVector.SPECIES_PREFERRED;
  private static final int LANES = F.length();

  private VectorAffine() {}

  /**
   * y = W x + b in float32. Lanes are added in their order, so that the result is the same in
   * interpreted and compiled code.
   *
   * @param weight holds W, {@code [y.length, x.length]}, at {@code weightOffset}
   * @param bias holds b, {@code [y.length]}, at {@code biasOffset}
   * @param lanes scratch of {@link #MAX_LANES}
   */
  static void apply(
      float[] weight,
      int weightOffset,
      float[] bias,
      int biasOffset,
      float[] x,
      float[] y,
      float[] lanes) {
    int bound = x.length - x.length % LANES;
    for (int row = 0; row < y.length; row++) {
      int at = weightOffset + row * x.length;
      FloatVector sums = FloatVector.zero(F);
      for (int i = 0; i < bound; i += LANES) {
        sums = FloatVector.fromArray(F, weight, at + i).fma(FloatVector.fromArray(F, x, i), sums);
      }
      sums.intoArray(lanes, 0);
      float sum = bias[biasOffset + row];
      for (int lane = 0; lane < LANES; lane++) {
        sum += lanes[lane];
      }
      for (int i = bound; i < x.length; i++) {
        sum = Math.fma(weight[at + i], x[i], sum);
      }
      y[row] = sum;
    }
  }
}
