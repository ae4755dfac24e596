package dev.lorikeet.bench.adapters;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.function.IntSupplier;
import java.util.stream.IntStream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class TrafficTest {
  private static final int BATCHES = 2000;
  private static final long SEED = Long.getLong("lorikeet.test.seed", System.nanoTime());

  static {
    System.out.println("TrafficTest: -Dlorikeet.test.seed=" + SEED);
  }

  @ParameterizedTest
  @EnumSource(Traffic.class)
  void distinctAdaptersAreAsManyAsDrawingGives(Traffic traffic) {
    for (int adapters : new int[] {1, 5, 300}) {
      for (int requests : new int[] {1, 8, 32}) {
        IntSupplier source = traffic.source(adapters, SEED);
        double drawn =
            IntStream.range(0, BATCHES)
                .mapToLong(b -> IntStream.generate(source).limit(requests).distinct().count())
                .average()
                .orElseThrow();
        // A batch's count deviates by at most sqrt(requests) / 2; seven deviations of the mean.
        double tolerance = 7 * Math.sqrt(requests) / 2 / Math.sqrt(BATCHES);
        assertEquals(drawn, traffic.distinct(adapters, requests), tolerance);
      }
    }
  }
}
