package dev.lorikeet.bench.adapters;

import org.HdrHistogram.Histogram;

/**
 * Times of requests. The decoding thread alone records; it is read when all requests have ended.
 */
final class Latencies {
  private static final long LONGEST_NANOS = 600_000_000_000L;
  private static final int DIGITS = 3;

  private final Histogram firstToken = new Histogram(LONGEST_NANOS, DIGITS);
  private final Histogram perToken = new Histogram(LONGEST_NANOS, DIGITS);

  /** Times in milliseconds that half, 95 and 99 of 100 stay below. */
  record Percentiles(double p50, double p95, double p99, double max) {
    private static Percentiles of(Histogram nanos) {
      return new Percentiles(
          nanos.getValueAtPercentile(50) / 1e6,
          nanos.getValueAtPercentile(95) / 1e6,
          nanos.getValueAtPercentile(99) / 1e6,
          nanos.getMaxValue() / 1e6);
    }
  }

  /** Follows one request from the moment at which it was due. */
  final class Request {
    private final long due;
    private long last;

    Request(long due) {
      this.due = due;
    }

    void token() {
      long now = System.nanoTime();
      if (last == 0) {
        firstToken.recordValue(Math.clamp(now - due, 0, LONGEST_NANOS));
      } else {
        perToken.recordValue(Math.clamp(now - last, 0, LONGEST_NANOS));
      }
      last = now;
    }
  }

  /** Returns the number of requests that had a token. */
  int requests() {
    return (int) firstToken.getTotalCount();
  }

  Percentiles firstToken() {
    return Percentiles.of(firstToken);
  }

  Percentiles perToken() {
    return Percentiles.of(perToken);
  }
}
