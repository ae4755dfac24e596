package dev.lorikeet.jlama.kernel;

/** The error function in float64, which the JDK lacks. */
final class Erf {
  /** Where the continued fraction takes over from the series. */
  private static final double LARGE = 1.5;

  /** Levels of the fraction; at 1.5 it has converged to float64 with some 80. */
  private static final int LEVELS = 120;

  private static final double TWO_OVER_ROOT_PI = 2 / Math.sqrt(Math.PI);

  private Erf() {}

  /** Returns the complement of the error function, with a relative error below 1e-13. */
  static double complement(double x) {
    if (x < 0) {
      return 2 - complement(-x);
    }
    return x < LARGE ? 1 - ofSmall(x) : byFraction(x);
  }

  /** The series with terms of one sign: exp(-x^2) times the sum of 2^n x^(2n+1) / (2n+1)!!. */
  private static double ofSmall(double x) {
    double term = x;
    double sum = x;
    for (int n = 1; term > sum * 1e-17; n++) {
      term *= 2 * x * x / (2 * n + 1);
      sum += term;
    }
    return TWO_OVER_ROOT_PI * StrictMath.exp(-x * x) * sum;
  }

  private static double byFraction(double x) {
    double rest = 0;
    for (int k = LEVELS; k > 0; k--) {
      rest = k / 2.0 / (x + rest);
    }
    return StrictMath.exp(-x * x) / (Math.sqrt(Math.PI) * (x + rest));
  }

  /** Returns x times the normal distribution of x. */
  static float gelu(float x) {
    double below = complement(-x / Math.sqrt(2)) / 2;
    return x == Float.NEGATIVE_INFINITY ? 0 : (float) (x * below);
  }
}
