package dev.lorikeet.host.serving;

import java.time.Duration;

/**
 * What becomes of requests whose router is at fault: it throws, decides what cannot be used, or
 * takes too long.
 *
 * @param timeout how long one call of a router may take; zero for no limit. It is measured when the
 *     call returns: a thread inside foreign code cannot be stopped safely, so a slow call delays
 *     its batch once, and a call that never returns stops the model
 * @param fallback what such requests do
 */
public record RouterPolicy(Duration timeout, Fallback fallback) {
  /** What a request does whose router is at fault. */
  public enum Fallback {
    /** It fails with code {@code ROUTER_FAILED}. */
    FAIL,
    /** It goes on with the base model alone, from the token on that could not be routed. */
    BASE
  }

  /** A second, then failure. */
  public static final RouterPolicy DEFAULT = new RouterPolicy(Duration.ofSeconds(1), Fallback.FAIL);

  public RouterPolicy {
    if (timeout.isNegative()) {
      throw new IllegalArgumentException("router timeout: expected >= 0, found " + timeout);
    }
  }

  /** Returns whether a call that took so long took too long. */
  boolean isTooLong(long nanos) {
    return !timeout.isZero() && nanos > timeout.toNanos();
  }

  /** Returns what to say of a call that took too long. */
  String tooLong(long nanos) {
    return "took "
        + nanos / 1_000_000
        + " ms for one call, expected at most "
        + timeout.toMillis()
        + " ms";
  }
}
