package dev.lorikeet.bench.routing;

import dev.lorikeet.bench.output.Output;
import dev.lorikeet.bench.routing.RoutingReport.Cost;
import dev.lorikeet.bench.routing.RoutingReport.Criterion;
import dev.lorikeet.bench.routing.RoutingReport.Stay;
import dev.lorikeet.gates.RouterEvaluation;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/** Prints the report as tables. */
record RoutingText(Output output) {
  void print(RoutingReport report) {
    output.print("");
    output.print(
        report.model()
            + ", "
            + report.experts()
            + " experts of rank "
            + report.rank()
            + " on all projections; tokens/s, and the time of a step over the base model's");
    output.print("");
    List<Integer> batches = report.costs().stream().map(Cost::batch).distinct().toList();
    List<List<String>> rows = new ArrayList<>();
    List<String> head = new ArrayList<>(List.of("sequences"));
    for (int batch : batches) {
      head.add(Integer.toString(batch));
      head.add("");
    }
    rows.add(head);
    for (Variant variant : Variant.values()) {
      List<String> row = new ArrayList<>(List.of(variant.title()));
      for (int batch : batches) {
        List<Cost> found =
            report.costs().stream()
                .filter(c -> c.variant() == variant && c.batch() == batch)
                .toList();
        row.add(found.isEmpty() ? "" : text("%.0f", found.getFirst().tokensPerSecond()));
        row.add(found.isEmpty() ? "" : text("%.2f", found.getFirst().timeOverBase().median()));
      }
      rows.add(row);
    }
    output.table(rows);
    output.print("");
    output.print("One sequence, a mixture of two that stays; milliseconds");
    output.print("");
    List<List<String>> stays = new ArrayList<>();
    stays.add(List.of("tokens", "deltas", "merged", "planned", "planned/better"));
    for (Stay stay : report.stays()) {
      stays.add(
          List.of(
              Integer.toString(stay.tokens()),
              text("%.0f", stay.deltaMs()),
              text("%.0f", stay.mergeMs()),
              text("%.0f", stay.autoMs()),
              text("%.3f", stay.plannedOverBest().median())));
    }
    output.table(stays);
    quality(report.quality());
    output.print("");
    for (Criterion criterion : report.criteria()) {
      output.print(
          text("%.3f", criterion.value())
              + " (at most "
              + text("%.2f", criterion.atMost())
              + ", "
              + (criterion.holds() ? "holds" : "does not hold")
              + ")  "
              + criterion.statement());
    }
  }

  private void quality(RouterEvaluation quality) {
    double best = quality.bestFixed().perplexity();
    List<List<String>> rows = new ArrayList<>();
    rows.add(List.of("tiny model", "perplexity", "over the best without router"));
    for (RouterEvaluation.Row row : quality.rows()) {
      rows.add(
          List.of(
              row.name(), text("%.2f", row.perplexity()), text("%.3f", row.perplexity() / best)));
    }
    output.print("");
    output.print(quality.documents() + " held-out documents that mix four kinds of text");
    output.print("");
    output.table(rows);
  }

  private static String text(String format, double value) {
    return String.format(Locale.ROOT, format, value);
  }
}
