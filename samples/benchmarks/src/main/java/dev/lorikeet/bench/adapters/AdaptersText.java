package dev.lorikeet.bench.adapters;

import dev.lorikeet.bench.adapters.AdaptersReport.Cell;
import dev.lorikeet.bench.adapters.AdaptersReport.Criterion;
import dev.lorikeet.bench.adapters.AdaptersReport.Soak;
import dev.lorikeet.bench.output.Output;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/** Prints a report for people. */
record AdaptersText(Output output) {
  void print(AdaptersReport report) {
    output.print("");
    output.print(
        format(
            "model %s; adapters of rank %d, %.1f MB each, %d distinct; a pool of %.0f MB that holds %d; %d requests of %d + %d tokens",
            report.setup().model(),
            report.setup().rank(),
            report.setup().adapterBytes() / 1e6,
            report.setup().distinct(),
            report.setup().poolBytes() / 1e6,
            report.setup().hot(),
            report.setup().requests(),
            report.setup().promptTokens(),
            report.setup().tokens()));
    output.print(
        format(
            "saturated, then Poisson arrivals at %.0f %% of that rate; the last round's figures",
            100 * report.setup().load()));
    output.print("");
    List<List<String>> rows = new ArrayList<>();
    rows.add(
        List.of(
            "adapters",
            "traffic",
            "tokens/s",
            "first token p50",
            "p95",
            "p99 ms",
            "per token p50",
            "p95",
            "p99 ms",
            "resident MB",
            "in pool",
            "loads",
            "registered in s"));
    int last = report.cells().stream().mapToInt(Cell::round).max().orElse(0);
    report.cells().stream().filter(cell -> cell.round() == last).map(this::row).forEach(rows::add);
    output.table(rows);
    output.print("");
    Criterion criterion = report.criterion();
    if (criterion != null) {
      output.print(
          format(
              "%s: %.3f (%.3f-%.3f), at least %.1f: %s",
              criterion.statement(),
              criterion.median(),
              criterion.min(),
              criterion.max(),
              criterion.atLeast(),
              criterion.holds() ? "holds" : "DOES NOT HOLD"));
      output.print(
          format(
              "a batch of %d uses about %.0f different adapters instead of %.0f: %.2f where only reading them at %.0f GB/s counts",
              report.setup().sequences(),
              criterion.distinctMost(),
              criterion.distinctFew(),
              criterion.bound(),
              criterion.memoryBytesPerSecond() / 1e9));
    }
    Soak soak = report.soak();
    if (soak != null) {
      output.print(
          format(
              "steady traffic for %.0f s: %d requests, resident memory %+.2f MB/min (%.0f to %.0f MB); KV pages %d before, %d after; adapter pages %d and %d of %d",
              soak.seconds(),
              soak.result().requests(),
              soak.residentBytesPerMinute() / 1e6,
              soak.before().residentBytes() / 1e6,
              soak.after().residentBytes() / 1e6,
              soak.before().kvCachePages(),
              soak.after().kvCachePages(),
              soak.before().adapterPages(),
              soak.after().adapterPages(),
              soak.after().pages()));
    }
    if (report.plot() != null) {
      output.print("plot: " + report.plot());
    }
  }

  private List<String> row(Cell cell) {
    var first = cell.poisson().timeToFirstTokenMs();
    var per = cell.poisson().timePerTokenMs();
    return List.of(
        Integer.toString(cell.registered()),
        cell.traffic().name().toLowerCase(Locale.ROOT),
        format("%.0f", cell.saturated().tokensPerSecond()),
        format("%.1f", first.p50()),
        format("%.1f", first.p95()),
        format("%.1f", first.p99()),
        format("%.2f", per.p50()),
        format("%.2f", per.p95()),
        format("%.2f", per.p99()),
        format("%.0f", cell.memory().residentBytes() / 1e6),
        Integer.toString(cell.memory().residentAdapters()),
        Long.toString(cell.memory().loads()),
        format("%.2f", cell.registerSeconds()));
  }

  @SuppressWarnings("AnnotateFormatMethod") // patterns stand beside their values here
  private static String format(String pattern, Object... values) {
    return String.format(Locale.ROOT, pattern, values);
  }
}
