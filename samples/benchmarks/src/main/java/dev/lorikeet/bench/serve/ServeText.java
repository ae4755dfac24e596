package dev.lorikeet.bench.serve;

import dev.lorikeet.bench.output.Output;
import dev.lorikeet.bench.output.Statistic;
import dev.lorikeet.bench.serve.ServeReport.ContenderResult;
import dev.lorikeet.bench.serve.ServeReport.Criterion;
import dev.lorikeet.bench.serve.ServeReport.Result;
import dev.lorikeet.bench.serve.ServeReport.ScenarioResult;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/** Prints a report for people. */
record ServeText(Output output) {
  void print(ServeReport report) {
    output.print("");
    output.print(
        report.machine().cpu()
            + ", "
            + report.machine().cores()
            + " cores, vectors of "
            + report.machine().vectorBits()
            + " bits; JDK "
            + report.machine().jdk());
    output.print(
        format(
            "memory %.1f GB/s (a buffer as large as the model: %.1f), multiply-adds %.0f GFLOP/s, %d threads",
            report.roofline().memoryBytesPerSecond() / 1e9,
            report.roofline().modelBytesPerSecond() / 1e9,
            report.roofline().flopsPerSecond() / 1e9,
            report.roofline().threads()));
    output.print(
        format(
            "model %s: %.0f MB of weights a step, %.1f MB of an adapter of rank 16; %d rounds of %d tokens",
            report.model().name(),
            report.model().weightBytes() / 1e6,
            report.model().adapterBytes() / 1e6,
            report.rounds(),
            report.tokens()));
    output.print("");
    for (ContenderResult contender : report.contenders()) {
      output.print(
          contender.title()
              + ": "
              + (contender.unavailable() == null
                  ? "best of " + contender.tried().size() + " settings: " + contender.chosen()
                  : "not available: " + contender.unavailable()));
    }
    agreement(report.agreement());
    scenarios(report);
    criteria(report.criteria());
  }

  private void agreement(List<Agreement> agreements) {
    output.print("");
    for (Agreement agreement : agreements) {
      output.print(
          format(
              "%s, %s: %s: %d of %d first tokens as Lorikeet's; the same up to token %s of %d",
              agreement.contender(),
              agreement.adapters(),
              agreement.same() ? "the same function" : "NOT THE SAME FUNCTION",
              agreement.sameFirst(),
              agreement.sequences(),
              agreement.commonTokens(),
              agreement.tokens()));
    }
  }

  private void scenarios(ServeReport report) {
    List<List<String>> rows = new ArrayList<>();
    List<String> head = new ArrayList<>(List.of("tokens/s: median (lowest-highest)"));
    report.contenders().forEach(contender -> head.add(contender.title()));
    head.add("roofline");
    head.add("of it");
    rows.add(head);
    for (ScenarioResult result : report.scenarios()) {
      List<String> row = new ArrayList<>(List.of(result.title()));
      for (ContenderResult contender : report.contenders()) {
        Result found = result.results().get(contender.name());
        row.add(found == null ? "-" : statistic(found.tokensPerSecond()));
      }
      row.add(format("%.0f", result.rooflineTokensPerSecond()));
      row.add(
          result
              .of(Contender.LORIKEET)
              .map(r -> format("%.0f %%", 100 * r.fractionOfRoofline()))
              .orElse("-"));
      rows.add(row);
    }
    List<String> first = new ArrayList<>(List.of("time to first token of 256, ms"));
    ScenarioResult prefill = report.scenarios().getLast();
    for (ContenderResult contender : report.contenders()) {
      Result found = prefill.results().get(contender.name());
      first.add(found == null ? "-" : statistic(found.timeToFirstTokenMs()));
    }
    rows.add(first);
    output.print("");
    output.table(rows);
    output.print("Jlama has no LoRA and no batches: its sequences take turns, without adapters.");
  }

  private void criteria(List<Criterion> criteria) {
    List<List<String>> rows = new ArrayList<>();
    for (Criterion criterion : criteria) {
      String bound =
          criterion.atLeast() != null
              ? "at least " + criterion.atLeast()
              : "at most " + criterion.atMost();
      rows.add(
          List.of(
              criterion.statement(),
              format("%.3f", criterion.value().median()),
              format("(%.3f-%.3f)", criterion.value().min(), criterion.value().max()),
              bound,
              criterion.holds() ? "holds" : "DOES NOT HOLD"));
    }
    output.print("");
    output.table(rows);
  }

  private static String statistic(Statistic value) {
    return format("%.0f (%.0f-%.0f)", value.median(), value.min(), value.max());
  }

  @SuppressWarnings("AnnotateFormatMethod") // patterns stand beside their values here
  private static String format(String pattern, Object... values) {
    return String.format(Locale.ROOT, pattern, values);
  }
}
