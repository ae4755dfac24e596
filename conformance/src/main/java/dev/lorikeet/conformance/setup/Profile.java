package dev.lorikeet.conformance.setup;

/**
 * How much a run tries. Set by the JUnit configuration parameter or system property {@code
 * lorikeet.conformance.profile}; {@link #QUICK} where none is set.
 */
public enum Profile {
  /** Seconds: for every build. */
  QUICK(1),
  /** One to two minutes: before a release. */
  NORMAL(12),
  /** As long as it takes: overnight. */
  THOROUGH(120);

  private final int factor;

  Profile(int factor) {
    this.factor = factor;
  }

  /** Returns how many trials this profile makes where the quick one makes {@code quick}. */
  public int trials(int quick) {
    return quick * factor;
  }
}
