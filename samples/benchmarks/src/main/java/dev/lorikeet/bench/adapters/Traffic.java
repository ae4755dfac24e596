package dev.lorikeet.bench.adapters;

import java.util.function.IntSupplier;
import java.util.stream.IntStream;
import org.apache.commons.math3.distribution.ZipfDistribution;
import org.apache.commons.math3.random.Well19937c;

/** How requests are spread over the adapters. */
enum Traffic {
  /** The k-th most popular adapter is asked for in proportion to 1/k. */
  ZIPF,
  /** Each is asked for alike: the worst for a cache. */
  UNIFORM;

  /** Returns a source of adapter numbers below {@code adapters}. */
  IntSupplier source(int adapters, long seed) {
    var random = new Well19937c(seed);
    return switch (this) {
      case ZIPF -> {
        var zipf = new ZipfDistribution(random, adapters, 1);
        yield () -> zipf.sample() - 1;
      }
      case UNIFORM -> () -> random.nextInt(adapters);
    };
  }

  /** Returns how many different adapters so many requests are expected to ask for. */
  double distinct(int adapters, int requests) {
    return switch (this) {
      case ZIPF -> {
        var zipf = new ZipfDistribution(adapters, 1);
        yield IntStream.rangeClosed(1, adapters)
            .mapToDouble(k -> 1 - Math.pow(1 - zipf.probability(k), requests))
            .sum();
      }
      case UNIFORM -> adapters * (1 - Math.pow(1 - 1.0 / adapters, requests));
    };
  }
}
