package dev.lorikeet.files.model;

import java.util.List;
import java.util.OptionalDouble;

/**
 * How rotary frequencies are stretched beyond the length that a model was first trained for: the
 * kinds of Hugging Face's {@code rope_scaling} and, since transformers 5, {@code rope_parameters}.
 */
public sealed interface RopeScaling {

  /** Frequencies as they are: {@code default}. */
  record None() implements RopeScaling {}

  /**
   * Every frequency divided by a factor: {@code linear}.
   *
   * @param factor how many times longer, at least 1
   */
  record Linear(double factor) implements RopeScaling {}

  /**
   * Low frequencies divided by a factor, high ones kept, a smooth passage between: {@code llama3},
   * as in Llama 3.1 and 3.2.
   *
   * @param factor the divisor of low frequencies, at least 1
   * @param lowFreqFactor wavelengths above {@code originalMaxPositions / lowFreqFactor} are scaled
   * @param highFreqFactor wavelengths below {@code originalMaxPositions / highFreqFactor} are kept
   * @param originalMaxPositions the length of the first training
   */
  record Llama3(
      double factor, double lowFreqFactor, double highFreqFactor, int originalMaxPositions)
      implements RopeScaling {}

  /**
   * YaRN (arXiv 2309.00071): interpolation of slow dimensions, extrapolation of fast ones, a linear
   * ramp between, and a scale on the rotated vectors.
   *
   * @param factor how many times longer
   * @param originalMaxPositions the length of the first training
   * @param betaFast dimensions that rotate more often than this over the original length are kept
   * @param betaSlow dimensions that rotate less often than this are interpolated
   * @param attentionFactor the scale on cosines and sines, where the configuration states it
   * @param mscale with {@code mscaleAllDim} the scale is a quotient of two such terms; 0 where
   *     absent
   * @param mscaleAllDim see {@code mscale}; 0 where absent
   * @param truncate whether the bounds of the ramp are rounded outwards to whole dimensions
   */
  record Yarn(
      double factor,
      int originalMaxPositions,
      double betaFast,
      double betaSlow,
      OptionalDouble attentionFactor,
      double mscale,
      double mscaleAllDim,
      boolean truncate)
      implements RopeScaling {}

  /**
   * LongRoPE (arXiv 2402.13753): every frequency divided by a factor of its own, with one set of
   * factors for sequences as long as those of the first training and one for longer ones, and a
   * scale on the rotated vectors.
   *
   * @param factors those for sequences of the first training's length
   * @param longFactors those for longer ones
   * @param attentionScale the scale on cosines and sines, with either
   * @param originalMaxPositions the length of the first training
   * @param maxPositions how long sequences can be with the second set
   * @param isLong whether the second set is used
   */
  record LongRope(
      List<Double> factors,
      List<Double> longFactors,
      double attentionScale,
      int originalMaxPositions,
      int maxPositions,
      boolean isLong)
      implements RopeScaling {
    public LongRope {
      factors = List.copyOf(factors);
      longFactors = List.copyOf(longFactors);
    }

    /** Returns the factors in use. */
    List<Double> used() {
      return isLong ? longFactors : factors;
    }

    LongRope longer() {
      return new LongRope(
          factors, longFactors, attentionScale, originalMaxPositions, maxPositions, true);
    }
  }
}
