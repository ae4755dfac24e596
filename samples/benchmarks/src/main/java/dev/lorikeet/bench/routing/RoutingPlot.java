package dev.lorikeet.bench.routing;

import dev.lorikeet.bench.routing.RoutingReport.Cost;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import org.knowm.xchart.BitmapEncoder;
import org.knowm.xchart.XYChart;
import org.knowm.xchart.XYChartBuilder;

/** Draws the time of a step over that of the base model, by batch, as a PNG. */
final class RoutingPlot {
  private static final int WIDTH = 800;
  private static final int HEIGHT = 500;

  private RoutingPlot() {}

  static void write(Path file, List<Cost> costs) throws IOException {
    System.setProperty("java.awt.headless", "true");
    XYChart chart =
        new XYChartBuilder()
            .width(WIDTH)
            .height(HEIGHT)
            .title("Time per decode step over the bare base model")
            .xAxisTitle("sequences")
            .yAxisTitle("ratio")
            .build();
    chart.getStyler().setYAxisMin(0.0);
    for (Variant variant : Variant.values()) {
      List<Cost> points =
          costs.stream().filter(c -> c.variant() == variant && variant.runsAt(2)).toList();
      if (!points.isEmpty()) {
        chart.addSeries(
            variant.title(),
            points.stream().map(c -> (double) c.batch()).toList(),
            points.stream().map(c -> c.timeOverBase().median()).toList());
      }
    }
    BitmapEncoder.saveBitmap(List.of(chart), 1, 1, file.toString(), BitmapEncoder.BitmapFormat.PNG);
  }
}
