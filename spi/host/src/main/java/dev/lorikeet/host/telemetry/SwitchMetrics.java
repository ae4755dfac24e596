package dev.lorikeet.host.telemetry;

import dev.lorikeet.host.switching.SwitchStats;
import io.opentelemetry.api.common.Attributes;
import io.opentelemetry.api.metrics.DoubleHistogram;
import io.opentelemetry.api.metrics.LongCounter;
import io.opentelemetry.api.metrics.Meter;
import java.util.List;

/** What the planner of merged weights chose, step by step. Used by the decoding thread alone. */
final class SwitchMetrics {
  private static final List<Double> SWITCH =
      List.of(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0);
  private static final double NANOS = 1e9;

  private final Attributes delta;
  private final Attributes merged;
  private final Attributes model;
  private final LongCounter steps;
  private final DoubleHistogram switches;
  private long deltaSteps;
  private long mergedSteps;
  private long recorded;
  private long switchNanos;

  SwitchMetrics(Meter meter, Attributes model) {
    this.model = model;
    delta = model.toBuilder().put(Keys.SWITCHING, "delta").build();
    merged = model.toBuilder().put(Keys.SWITCHING, "merged").build();
    steps =
        meter
            .counterBuilder("lorikeet.switching.steps")
            .setUnit("{step}")
            .setDescription("Steps with adapters, by how they were computed.")
            .build();
    switches =
        meter
            .histogramBuilder("lorikeet.switching.duration")
            .setUnit("s")
            .setDescription("Time to go from one merged state to the next.")
            .setExplicitBucketBoundariesAdvice(SWITCH)
            .build();
  }

  /** Notes what has changed since the last call. */
  void update(SwitchStats now) {
    if (now.deltaSteps() != deltaSteps) {
      steps.add(now.deltaSteps() - deltaSteps, delta);
      deltaSteps = now.deltaSteps();
    }
    if (now.mergedSteps() != mergedSteps) {
      steps.add(now.mergedSteps() - mergedSteps, merged);
      mergedSteps = now.mergedSteps();
    }
    if (now.switches() != recorded) {
      switches.record((now.switchNanos() - switchNanos) / NANOS, model);
      recorded = now.switches();
      switchNanos = now.switchNanos();
    }
  }
}
