package dev.lorikeet.bench.adapters;

import java.util.function.IntSupplier;
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
}
