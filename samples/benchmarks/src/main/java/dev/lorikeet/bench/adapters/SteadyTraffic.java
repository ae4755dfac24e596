package dev.lorikeet.bench.adapters;

import dev.lorikeet.Lorikeet;
import dev.lorikeet.bench.adapters.AdaptersReport.Memory;
import dev.lorikeet.bench.adapters.AdaptersReport.Sample;
import dev.lorikeet.bench.adapters.AdaptersReport.Soak;
import dev.lorikeet.bench.machine.Machine;
import dev.lorikeet.bench.output.Output;
import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import org.apache.commons.math3.stat.regression.SimpleRegression;

/**
 * Sends Zipf traffic for a long time and looks whether memory stays what it is.
 *
 * @param testbed opens the model
 * @param load share of the saturated rate
 * @param output says what is being done
 */
record SteadyTraffic(Testbed testbed, double load, Output output) {
  private static final int WARM_UP_REQUESTS = 300;
  private static final int MOST_SAMPLES = 600;
  private static final long SEED = 99;

  Soak run(Duration time, int registered) throws IOException {
    output.says("steady traffic for " + time + " with " + registered + " adapters");
    List<Sample> samples = Collections.synchronizedList(new ArrayList<>());
    try (Lorikeet lorikeet = testbed.open(registered);
        ScheduledExecutorService sampler = Executors.newSingleThreadScheduledExecutor()) {
      Load sender = testbed.load(lorikeet);
      var source = Traffic.ZIPF.source(registered, SEED);
      Load.Result warm = sender.saturated(source, WARM_UP_REQUESTS, 2 * testbed.sequences(), -SEED);
      Memory before = AdaptersCommand.memory(lorikeet);
      long start = System.nanoTime();
      long period = Math.max(1000, time.toMillis() / MOST_SAMPLES);
      var sampling =
          sampler.scheduleAtFixedRate(
              () ->
                  samples.add(
                      new Sample(
                          (System.nanoTime() - start) / 1e9,
                          Machine.residentBytes(),
                          Machine.anonymousBytes())),
              0,
              period,
              TimeUnit.MILLISECONDS);
      Load.Result result =
          sender.poisson(
              source,
              load * warm.requests() / warm.seconds(),
              () -> System.nanoTime() - start < time.toNanos(),
              SEED);
      sampling.cancel(false);
      Memory after = AdaptersCommand.memory(lorikeet);
      List<Sample> taken = List.copyOf(samples);
      return new Soak(
          (System.nanoTime() - start) / 1e9,
          registered,
          60 * slope(taken),
          result,
          taken,
          before,
          after);
    }
  }

  /** Returns the slope in bytes per second after the first tenth; 0 of fewer than two samples. */
  static double slope(List<Sample> samples) {
    SimpleRegression line = new SimpleRegression();
    samples.stream()
        .skip(samples.size() / 10)
        .forEach(sample -> line.addData(sample.second(), (double) sample.residentBytes()));
    double slope = line.getSlope();
    return Double.isNaN(slope) ? 0 : slope;
  }
}
