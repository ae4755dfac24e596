package dev.lorikeet.bench.adapters;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.function.ToDoubleFunction;
import org.knowm.xchart.BitmapEncoder;
import org.knowm.xchart.XYChart;
import org.knowm.xchart.XYChartBuilder;

/** Draws throughput, latency and memory over the number of adapters, as one PNG. */
final class Plot {
  private static final int WIDTH = 560;
  private static final int HEIGHT = 380;

  private Plot() {}

  static void write(Path file, List<AdaptersReport.Cell> cells) throws IOException {
    System.setProperty("java.awt.headless", "true");
    List<XYChart> charts =
        List.of(
            chart(
                "Throughput",
                "tokens/s",
                cells,
                List.of(new Curve("", c -> c.saturated().tokensPerSecond()))),
            chart(
                "Time to first token, open loop",
                "ms",
                cells,
                List.of(
                    new Curve(" p50", c -> c.poisson().timeToFirstTokenMs().p50()),
                    new Curve(" p99", c -> c.poisson().timeToFirstTokenMs().p99()))),
            chart(
                "Time per token, open loop",
                "ms",
                cells,
                List.of(
                    new Curve(" p50", c -> c.poisson().timePerTokenMs().p50()),
                    new Curve(" p99", c -> c.poisson().timePerTokenMs().p99()))),
            chart(
                "Resident memory without mapped files",
                "MB",
                cells,
                List.of(new Curve("", c -> c.memory().anonymousBytes() / 1e6))));
    BitmapEncoder.saveBitmap(charts, 2, 2, file.toString(), BitmapEncoder.BitmapFormat.PNG);
  }

  private record Curve(String name, ToDoubleFunction<AdaptersReport.Cell> value) {}

  private static XYChart chart(
      String title, String unit, List<AdaptersReport.Cell> cells, List<Curve> curves) {
    XYChart chart =
        new XYChartBuilder()
            .width(WIDTH)
            .height(HEIGHT)
            .title(title)
            .xAxisTitle("adapters registered")
            .yAxisTitle(unit)
            .build();
    chart.getStyler().setXAxisLogarithmic(true).setYAxisMin(0.0);
    for (Traffic traffic : Traffic.values()) {
      for (Curve curve : curves) {
        List<Double> x = new ArrayList<>();
        List<Double> y = new ArrayList<>();
        cells.stream()
            .filter(cell -> cell.traffic() == traffic)
            .mapToInt(AdaptersReport.Cell::registered)
            .distinct()
            .sorted()
            .forEach(
                registered -> {
                  x.add((double) registered);
                  y.add(
                      cells.stream()
                          .filter(c -> c.traffic() == traffic && c.registered() == registered)
                          .mapToDouble(curve.value())
                          .average()
                          .orElse(0));
                });
        if (!x.isEmpty()) {
          chart.addSeries(traffic.name().toLowerCase(Locale.ROOT) + curve.name(), x, y);
        }
      }
    }
    return chart;
  }
}
