package dev.lorikeet.bench.train;

import java.util.Arrays;

/** Notes when steps of several tasks end. The trainer's thread notes, another reads afterwards. */
final class Laps {
  private final int[] lengths;
  private final long[][] times;
  private final double[][] losses;
  private final int[] counts;

  /**
   * @param lengths tokens of a step, task by task
   * @param steps of each task
   */
  Laps(int[] lengths, int steps) {
    this.lengths = lengths;
    this.times = new long[lengths.length][steps];
    this.losses = new double[lengths.length][steps];
    this.counts = new int[lengths.length];
  }

  synchronized void step(int task, double loss) {
    times[task][counts[task]] = System.nanoTime();
    losses[task][counts[task]++] = loss;
  }

  /** Returns when every task had made its first step. */
  private long begin() {
    return Arrays.stream(times).mapToLong(steps -> steps[0]).max().orElseThrow();
  }

  /** Returns the time from when every task had made its first step to the end of the last. */
  synchronized double seconds() {
    long end = Arrays.stream(times).mapToLong(steps -> steps[steps.length - 1]).max().orElseThrow();
    return (end - begin()) / 1e9;
  }

  /** Returns the tokens of the steps that ended in that time. */
  synchronized long tokens() {
    long begin = begin();
    long tokens = 0;
    for (int task = 0; task < times.length; task++) {
      tokens += lengths[task] * Arrays.stream(times[task]).filter(t -> t > begin).count();
    }
    return tokens;
  }

  synchronized double[][] losses() {
    return losses;
  }
}
