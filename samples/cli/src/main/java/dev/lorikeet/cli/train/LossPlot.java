package dev.lorikeet.cli.train;

import dev.lorikeet.training.trainer.StepReport;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.knowm.xchart.ChartEncoder;
import org.knowm.xchart.XYChart;
import org.knowm.xchart.XYChartBuilder;
import org.knowm.xchart.style.markers.SeriesMarkers;

/** The losses of tasks over their steps, as a picture. Methods may be called by any thread. */
final class LossPlot {
  /** A curve of more points looks no different. */
  private static final int MOST_POINTS = 500;

  private final Map<String, Curve> losses = new LinkedHashMap<>();
  private final Map<String, Curve> validation = new LinkedHashMap<>();

  /** Points of a curve; each is the mean of as many as are needed to have few. */
  private static final class Curve {
    private final List<Double> x = new ArrayList<>();
    private final List<Double> y = new ArrayList<>();
    private int each = 1;
    private int pending;
    private double sum;

    void add(double step, double value) {
      sum += value;
      if (++pending == each) {
        x.add(step);
        y.add(sum / each);
        pending = 0;
        sum = 0;
      }
      if (x.size() > MOST_POINTS) {
        halve();
      }
    }

    private void halve() {
      List<Double> allX = List.copyOf(x);
      List<Double> allY = List.copyOf(y);
      x.clear();
      y.clear();
      for (int i = 0; i + 1 < allX.size(); i += 2) {
        x.add(allX.get(i + 1));
        y.add((allY.get(i) + allY.get(i + 1)) / 2);
      }
      each *= 2;
      pending = 0;
      sum = 0;
    }
  }

  synchronized void add(StepReport report) {
    losses.computeIfAbsent(report.task(), task -> new Curve()).add(report.step(), report.loss());
    report
        .validationLoss()
        .ifPresent(
            loss ->
                validation
                    .computeIfAbsent(report.task() + ", validation", task -> new Curve())
                    .add(report.step(), loss));
  }

  /** Writes an SVG file, if there is anything to show. */
  synchronized void write(Path file) throws IOException {
    if (losses.isEmpty()) {
      return;
    }
    System.setProperty("java.awt.headless", "true");
    XYChart chart =
        new XYChartBuilder().width(900).height(540).xAxisTitle("step").yAxisTitle("loss").build();
    losses.forEach((task, curve) -> add(chart, task, curve, false));
    validation.forEach((task, curve) -> add(chart, task, curve, true));
    try (OutputStream to = Files.newOutputStream(file)) {
      ChartEncoder.saveChart(chart, to, "svg");
    }
  }

  private static void add(XYChart chart, String name, Curve curve, boolean points) {
    if (!curve.x.isEmpty()) {
      chart
          .addSeries(name, curve.x, curve.y)
          .setMarker(points ? SeriesMarkers.CIRCLE : SeriesMarkers.NONE);
    }
  }
}
