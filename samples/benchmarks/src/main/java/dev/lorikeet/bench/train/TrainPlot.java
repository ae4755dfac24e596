package dev.lorikeet.bench.train;

import dev.lorikeet.bench.output.Statistic;
import dev.lorikeet.bench.train.TrainReport.Row;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.function.Function;
import org.knowm.xchart.BitmapEncoder;
import org.knowm.xchart.CategoryChart;
import org.knowm.xchart.CategoryChartBuilder;

/** Draws tokens per second by mix of tasks, as a PNG. */
final class TrainPlot {
  private static final int WIDTH = 900;
  private static final int HEIGHT = 500;

  private TrainPlot() {}

  static void write(Path file, List<Row> rows) throws IOException {
    System.setProperty("java.awt.headless", "true");
    CategoryChart chart =
        new CategoryChartBuilder()
            .width(WIDTH)
            .height(HEIGHT)
            .title("Fine-tuning")
            .xAxisTitle("tasks x tokens of a step")
            .yAxisTitle("tokens/s")
            .build();
    add(chart, "at once", rows, Row::together);
    add(chart, "one after the other", rows, Row::apart);
    List<Row> compared = rows.stream().filter(row -> row.peer() != null).toList();
    if (!compared.isEmpty()) {
      add(
          chart,
          "PyTorch, one after the other",
          rows,
          row -> row.peer() == null ? new Statistic(0, 0, 0) : row.peer().tokensPerSecond());
    }
    BitmapEncoder.saveBitmap(List.of(chart), 1, 1, file.toString(), BitmapEncoder.BitmapFormat.PNG);
  }

  private static void add(
      CategoryChart chart, String name, List<Row> rows, Function<Row, Statistic> value) {
    chart.addSeries(
        name,
        rows.stream().map(Row::mix).toList(),
        rows.stream().map(row -> value.apply(row).median()).toList());
  }
}
