package dev.lorikeet.bench.routing;

import dev.lorikeet.bench.machine.Machine;
import dev.lorikeet.bench.output.Statistic;
import dev.lorikeet.gates.RouterEvaluation;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Everything that {@code bench routing} finds, as it is written.
 *
 * @param benchmark its name
 * @param started when, ISO 8601
 * @param machine where
 * @param model which
 * @param experts how many adapters a router chooses among
 * @param rank their rank, on all projections
 * @param tokens how many tokens a sequence generates
 * @param rounds how often everything was measured
 * @param costs by variant and batch
 * @param stays what a mixture that stays for a while costs, as deltas, merged and as planned
 * @param quality perplexities of the tiny model, under its gates and without
 * @param criteria what the figures should be
 * @param plot the image, if there is one
 */
record RoutingReport(
    String benchmark,
    String started,
    Machine machine,
    String model,
    int experts,
    int rank,
    int tokens,
    int rounds,
    List<Cost> costs,
    List<Stay> stays,
    RouterEvaluation quality,
    List<Criterion> criteria,
    @Nullable String plot) {

  /**
   * A variant at a batch size.
   *
   * @param tokensPerSecond median over the rounds
   * @param timeOverBase time per step over that of the base model, taken round by round
   * @param stepSeconds the time of a decode step, by round
   */
  record Cost(
      Variant variant,
      int batch,
      double tokensPerSecond,
      Statistic timeOverBase,
      List<Double> stepSeconds) {}

  /**
   * A mixture that stays for some tokens and was not merged before; milliseconds from the request
   * to the last token, medians.
   *
   * @param plannedOverBest the planner's time over the better one's, taken round by round
   */
  record Stay(
      int tokens, double deltaMs, double mergeMs, double autoMs, Statistic plannedOverBest) {}

  /** A figure and the bound that it should keep. */
  record Criterion(String statement, double value, double atMost, boolean holds) {}
}
