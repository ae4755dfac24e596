package dev.lorikeet.arrow.store;

import dev.lorikeet.LorikeetException;
import io.opentelemetry.api.OpenTelemetry;
import io.opentelemetry.api.common.AttributeKey;
import io.opentelemetry.api.common.Attributes;
import io.opentelemetry.api.metrics.DoubleHistogram;
import java.util.List;
import java.util.function.Supplier;

/**
 * Tells OpenTelemetry how long it takes to bring weights into memory, whether a request waits for
 * them or not.
 */
final class LoadDurations {
  private static final AttributeKey<String> ERROR_TYPE = AttributeKey.stringKey("error.type");
  private static final List<Double> BUCKETS =
      List.of(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0);
  private static final double NANOS = 1e9;

  private final DoubleHistogram durations;

  LoadDurations(OpenTelemetry openTelemetry) {
    durations =
        openTelemetry
            .getMeter("dev.lorikeet.arrow")
            .histogramBuilder("lorikeet.adapter.load.duration")
            .setUnit("s")
            .setDescription("Time to bring the weights of one adapter into memory.")
            .setExplicitBucketBoundariesAdvice(BUCKETS)
            .build();
  }

  /** Loads, and notes how long it took. */
  <T> T time(Supplier<T> load) {
    long start = System.nanoTime();
    Attributes outcome = Attributes.empty();
    try {
      return load.get();
    } catch (RuntimeException | Error e) {
      outcome = Attributes.of(ERROR_TYPE, errorType(e));
      throw e;
    } finally {
      durations.record((System.nanoTime() - start) / NANOS, outcome);
    }
  }

  private static String errorType(Throwable failure) {
    return failure instanceof LorikeetException known
        ? known.code().name()
        : failure.getClass().getName();
  }
}
