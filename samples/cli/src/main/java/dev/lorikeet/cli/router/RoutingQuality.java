package dev.lorikeet.cli.router;

import dev.lorikeet.gates.RouterEvaluation;
import java.util.List;
import java.util.Locale;

/** The shape of an evaluation in JSON. */
record RoutingQuality(int documents, int tokens, List<Row> rows, String bestFixed, double gain) {
  static RoutingQuality of(RouterEvaluation evaluation) {
    return new RoutingQuality(
        evaluation.documents(),
        evaluation.tokens(),
        evaluation.rows().stream()
            .map(
                row ->
                    new Row(
                        row.name(),
                        row.role().name().toLowerCase(Locale.ROOT),
                        row.lossPerToken(),
                        row.perplexity()))
            .toList(),
        evaluation.bestFixed().name(),
        evaluation.gain());
  }

  record Row(String name, String role, double lossPerToken, double perplexity) {}
}
