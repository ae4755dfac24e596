package dev.lorikeet.host.serving;

/**
 * How fast steps have lately been at best: a floor for what steps to come will take. Used by the
 * decoding thread alone; allocates nothing.
 */
final class StepRates {
  /*
   * The least time of a step, and the least time per token of a step, over the last one to two windows of steps, so
   * that a rate that the machine reaches no more is forgotten.
   */
  private static final int WINDOW = 256;
  private static final int ENOUGH = 32;

  private long steps;
  private int inWindow;
  private long stepBefore = Long.MAX_VALUE;
  private long stepNow = Long.MAX_VALUE;
  private double tokenBefore = Double.MAX_VALUE;
  private double tokenNow = Double.MAX_VALUE;

  /** Notes a step of so many tokens. */
  void measured(int tokens, long nanos) {
    if (inWindow == WINDOW) {
      stepBefore = stepNow;
      tokenBefore = tokenNow;
      stepNow = Long.MAX_VALUE;
      tokenNow = Double.MAX_VALUE;
      inWindow = 0;
    }
    inWindow++;
    steps++;
    stepNow = Math.min(stepNow, nanos);
    tokenNow = Math.min(tokenNow, (double) nanos / tokens);
  }

  /** Returns whether enough steps were measured to tell anything. */
  boolean known() {
    return steps >= ENOUGH;
  }

  /** Returns the least time of a step in nanoseconds. */
  long stepNanos() {
    return Math.min(stepBefore, stepNow);
  }

  /** Returns the least time per token in nanoseconds. */
  double tokenNanos() {
    return Math.min(tokenBefore, tokenNow);
  }
}
