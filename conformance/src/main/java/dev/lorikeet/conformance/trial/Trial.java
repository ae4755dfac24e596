package dev.lorikeet.conformance.trial;

import dev.lorikeet.conformance.setup.Profile;
import java.time.Duration;
import java.util.SplittableRandom;
import java.util.random.RandomGenerator;
import org.opentest4j.TestAbortedException;

/** One run of one test: where its randomness comes from, how much it tries, what it measured. */
public final class Trial {
  private final long seed;
  private final Profile profile;
  private final Duration patience;
  private final RandomGenerator random;
  private double worstError = -1;

  /**
   * Begins a trial.
   *
   * @param seed the seed of the whole run
   * @param test the name of the test, so that each draws numbers of its own
   */
  Trial(long seed, String test, Profile profile, Duration patience) {
    this.seed = seed;
    this.profile = profile;
    this.patience = patience;
    this.random = new SplittableRandom(seed * 0x9E3779B97F4A7C15L + test.hashCode());
  }

  long seed() {
    return seed;
  }

  public Profile profile() {
    return profile;
  }

  /** Returns how long to wait for something that must come, before calling it hung. */
  public Duration patience() {
    return patience;
  }

  public RandomGenerator random() {
    return random;
  }

  /** Returns how many rounds to make where the quick profile makes {@code quick}. */
  public int trials(int quick) {
    return profile.trials(quick);
  }

  /** Returns a random number from {@code least} to {@code most}, both inclusive. */
  public int between(int least, int most) {
    return random.nextInt(least, most + 1);
  }

  /** Notes an error, in units of what is tolerated. */
  public void error(double relativeToTolerance) {
    worstError = Math.max(worstError, relativeToTolerance);
  }

  /** Returns the largest error noted, in units of what is tolerated; negative if none was. */
  double worstError() {
    return worstError;
  }

  /** Ends the test because its rule has nothing to say about this implementation. */
  public static TestAbortedException notApplicable(String reason) {
    return new TestAbortedException(Verdicts.NOT_APPLICABLE + reason);
  }
}
