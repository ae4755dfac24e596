package dev.lorikeet.files.model;

import dev.lorikeet.files.model.RopeScaling.Linear;
import dev.lorikeet.files.model.RopeScaling.Llama3;
import dev.lorikeet.files.model.RopeScaling.LongRope;
import dev.lorikeet.files.model.RopeScaling.None;
import dev.lorikeet.files.model.RopeScaling.Yarn;

/**
 * What a rotary embedding needs to know: position {@code p} turns the pair {@code (x[i], x[i +
 * headDim/2])} by the angle {@code p * inverse[i]}, and cosines and sines are multiplied by {@code
 * scale}. Computed in double precision after the formulas of transformers 5 ({@code
 * modeling_rope_utils}), which does the same in float32.
 */
public final class RopeFrequencies {
  private final double[] inverse;
  private final double scale;

  private RopeFrequencies(double[] inverse, double scale) {
    this.inverse = inverse;
    this.scale = scale;
  }

  /**
   * Returns the frequencies of heads, for as many elements as are rotated.
   *
   * @param headDim the width of a head
   */
  public static RopeFrequencies of(int headDim, Rope rope) {
    return of(rope.rotated(headDim), rope.theta(), rope.scaling());
  }

  /**
   * Returns the frequencies of a head.
   *
   * @param headDim the width of a head, even
   * @param theta the base of the geometric progression, above 1
   * @param scaling how they are stretched
   */
  public static RopeFrequencies of(int headDim, double theta, RopeScaling scaling) {
    double[] inverse = new double[headDim / 2];
    for (int i = 0; i < inverse.length; i++) {
      inverse[i] = Math.pow(theta, -2.0 * i / headDim);
    }
    switch (scaling) {
      case None none -> {}
      case Linear linear -> {
        for (int i = 0; i < inverse.length; i++) {
          inverse[i] /= linear.factor();
        }
      }
      case Llama3 llama3 -> {
        for (int i = 0; i < inverse.length; i++) {
          inverse[i] = stretched(inverse[i], llama3);
        }
      }
      case Yarn yarn -> ramp(inverse, theta, yarn);
      case LongRope longRope -> {
        for (int i = 0; i < inverse.length; i++) {
          inverse[i] /= longRope.used().get(i);
        }
      }
    }
    double scale =
        switch (scaling) {
          case Yarn yarn -> attentionScale(yarn);
          case LongRope longRope -> longRope.attentionScale();
          default -> 1;
        };
    return new RopeFrequencies(inverse, scale);
  }

  private static double stretched(double frequency, Llama3 s) {
    double rotations = s.originalMaxPositions() * frequency / (2 * Math.PI);
    if (rotations > s.highFreqFactor()) {
      return frequency;
    }
    if (rotations < s.lowFreqFactor()) {
      return frequency / s.factor();
    }
    double keep = (rotations - s.lowFreqFactor()) / (s.highFreqFactor() - s.lowFreqFactor());
    return (1 - keep) * frequency / s.factor() + keep * frequency;
  }

  private static void ramp(double[] inverse, double theta, Yarn yarn) {
    int headDim = 2 * inverse.length;
    double low = dimensionThatRotates(yarn.betaFast(), headDim, theta, yarn);
    double high = dimensionThatRotates(yarn.betaSlow(), headDim, theta, yarn);
    if (yarn.truncate()) {
      low = Math.floor(low);
      high = Math.ceil(high);
    }
    low = Math.max(low, 0);
    high = Math.min(high, headDim - 1);
    if (low == high) {
      high += 0.001;
    }
    for (int i = 0; i < inverse.length; i++) {
      double interpolate = Math.clamp((i - low) / (high - low), 0.0, 1.0);
      inverse[i] *= interpolate / yarn.factor() + (1 - interpolate);
    }
  }

  /**
   * The (fractional) dimension whose wavelength fits {@code rotations} times into the original
   * length.
   */
  private static double dimensionThatRotates(
      double rotations, int headDim, double theta, Yarn yarn) {
    double wavelength = yarn.originalMaxPositions() / rotations;
    return headDim * Math.log(wavelength / (2 * Math.PI)) / (2 * Math.log(theta));
  }

  private static double attentionScale(Yarn yarn) {
    if (yarn.attentionFactor().isPresent()) {
      return yarn.attentionFactor().getAsDouble();
    }
    return yarn.mscale() != 0 && yarn.mscaleAllDim() != 0
        ? mscale(yarn.factor(), yarn.mscale()) / mscale(yarn.factor(), yarn.mscaleAllDim())
        : mscale(yarn.factor(), 1);
  }

  private static double mscale(double factor, double weight) {
    return factor <= 1 ? 1.0 : 0.1 * weight * Math.log(factor) + 1.0;
  }

  /** Returns the {@code headDim / 2} inverse frequencies in radians per position; a copy. */
  public double[] inverse() {
    return inverse.clone();
  }

  /** Returns the factor on cosines and sines: 1 but for YaRN and LongRoPE. */
  public double scale() {
    return scale;
  }
}
