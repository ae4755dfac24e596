package dev.lorikeet.bench.serve;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * Notes when tokens of several sequences come. One thread at a time may note for a sequence; the
 * sequences may have different threads.
 */
final class Clock {
  private final long[] starts;
  private final long[][] times;
  private final int[] counts;

  Clock(int sequences, int tokens) {
    starts = new long[sequences];
    times = new long[sequences][tokens];
    counts = new int[sequences];
  }

  /** Notes that a sequence was asked for. */
  void start(int sequence) {
    starts[sequence] = System.nanoTime();
  }

  /** Notes a token; more than were asked for are left out. */
  void token(int sequence) {
    if (counts[sequence] < times[sequence].length) {
      times[sequence][counts[sequence]++] = System.nanoTime();
    }
  }

  /**
   * Returns tokens per second of sequences that ran together: those tokens that came after every
   * sequence had its first, up to the last, over that time.
   */
  double together() {
    long begin = Long.MIN_VALUE;
    long end = Long.MIN_VALUE;
    for (int s = 0; s < times.length; s++) {
      require(s);
      begin = Math.max(begin, times[s][0]);
      end = Math.max(end, times[s][counts[s] - 1]);
    }
    long from = begin;
    long tokens =
        Arrays.stream(times).flatMapToLong(Arrays::stream).filter(time -> time > from).count();
    return tokens == 0 ? 0 : tokens * 1e9 / (end - begin);
  }

  /** Returns tokens per second of sequences that ran one after the other. */
  double inTurn() {
    long tokens = 0;
    long nanos = 0;
    for (int s = 0; s < times.length; s++) {
      require(s);
      tokens += counts[s] - 1;
      nanos += times[s][counts[s] - 1] - times[s][0];
    }
    return tokens == 0 ? 0 : tokens * 1e9 / nanos;
  }

  /**
   * Returns the time from the request to the first token in milliseconds, mean of the sequences.
   */
  double timeToFirstTokenMs() {
    double sum = 0;
    for (int s = 0; s < times.length; s++) {
      require(s);
      sum += (times[s][0] - starts[s]) / 1e6;
    }
    return sum / times.length;
  }

  private void require(int sequence) {
    if (counts[sequence] < times[sequence].length) {
      throw new IllegalStateException(
          "sequence "
              + sequence
              + ": expected "
              + times[sequence].length
              + " tokens, found "
              + counts[sequence]);
    }
  }

  /** Returns so many empty lists, for ids. */
  static List<List<Integer>> lists(int count) {
    List<List<Integer>> lists = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      lists.add(new ArrayList<>());
    }
    return lists;
  }
}
