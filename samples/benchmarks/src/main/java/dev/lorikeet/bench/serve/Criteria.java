package dev.lorikeet.bench.serve;

import dev.lorikeet.bench.output.Statistic;
import dev.lorikeet.bench.serve.ServeReport.Criterion;
import dev.lorikeet.bench.serve.ServeReport.Result;
import dev.lorikeet.bench.serve.ServeReport.ScenarioResult;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.function.DoubleBinaryOperator;

/**
 * What Lorikeet is meant to reach. Ratios are taken round by round, so that what slows the machine
 * for a while touches both sides alike. What was not measured is left out.
 */
final class Criteria {
  private final List<ScenarioResult> scenarios;
  private final List<Criterion> criteria = new ArrayList<>();

  private Criteria(List<ScenarioResult> scenarios) {
    this.scenarios = scenarios;
  }

  static List<Criterion> of(List<ScenarioResult> scenarios) {
    Criteria all = new Criteria(scenarios);
    all.times(
        "1a 8 sequences, 8 adapters: times java-llama.cpp with one adapter",
        Scenario.EIGHT_ADAPTERS,
        Contender.LLAMA_CPP,
        Scenario.EIGHT_ONE_ADAPTER,
        4);
    all.times(
        "1b 8 sequences, 8 adapters: times java-llama.cpp with 8 adapters",
        Scenario.EIGHT_ADAPTERS,
        Contender.LLAMA_CPP,
        Scenario.EIGHT_ADAPTERS,
        7);
    all.times(
        "1c 8 sequences, 8 adapters: times Jlama without adapters",
        Scenario.EIGHT_ADAPTERS,
        Contender.JLAMA,
        Scenario.EIGHT,
        12);
    all.roofline("1d 8 sequences, 8 adapters: fraction of the roofline (stretch)", 0.6);
    all.times(
        "2a 1 sequence: times java-llama.cpp",
        Scenario.ONE,
        Contender.LLAMA_CPP,
        Scenario.ONE,
        1.7);
    all.times(
        "2b prefill of 256 tokens: times Jlama",
        Scenario.PREFILL,
        Contender.JLAMA,
        Scenario.PREFILL,
        3);
    all.cost("3a cost of 8 different adapters", Contender.LORIKEET, Scenario.EIGHT_ADAPTERS, 0.18);
    all.cost(
        "3b cost of one adapter for all 8, as deltas",
        Contender.LORIKEET,
        Scenario.EIGHT_ONE_ADAPTER,
        0.06);
    all.cost(
        "3b cost of one adapter for all 8, merged by the planner",
        Contender.LORIKEET_AUTO,
        Scenario.EIGHT_ONE_ADAPTER,
        0.06);
    return List.copyOf(all.criteria);
  }

  private ScenarioResult find(Scenario wanted) {
    return scenarios.stream().filter(s -> s.name().equals(wanted.name())).findFirst().orElseThrow();
  }

  private void times(
      String statement, Scenario ours, Contender other, Scenario theirs, double atLeast) {
    compare(Contender.LORIKEET, ours, other, theirs, (a, b) -> a / b)
        .ifPresent(value -> criteria.add(new Criterion(statement, value, atLeast, null)));
  }

  private void cost(String statement, Contender who, Scenario with, double atMost) {
    double roofline =
        1 - find(with).rooflineTokensPerSecond() / find(Scenario.EIGHT).rooflineTokensPerSecond();
    String stated =
        String.format(java.util.Locale.ROOT, "%s (at the roofline: %.3f)", statement, roofline);
    compare(who, with, Contender.LORIKEET, Scenario.EIGHT, (a, b) -> 1 - a / b)
        .ifPresent(value -> criteria.add(new Criterion(stated, value, null, atMost)));
  }

  private void roofline(String statement, double atLeast) {
    ScenarioResult eight = find(Scenario.EIGHT_ADAPTERS);
    eight
        .of(Contender.LORIKEET)
        .ifPresent(
            result ->
                criteria.add(
                    new Criterion(
                        statement,
                        Statistic.of(
                            result.rounds().stream()
                                .map(figure -> figure / eight.rooflineTokensPerSecond())
                                .toList()),
                        atLeast,
                        null)));
  }

  private Optional<Statistic> compare(
      Contender who, Scenario ours, Contender other, Scenario theirs, DoubleBinaryOperator ratio) {
    Optional<Result> a = find(ours).of(who);
    Optional<Result> b = find(theirs).of(other);
    if (a.isEmpty() || b.isEmpty()) {
      return Optional.empty();
    }
    List<Double> ratios = new ArrayList<>();
    for (int round = 0; round < a.get().rounds().size(); round++) {
      ratios.add(ratio.applyAsDouble(a.get().rounds().get(round), b.get().rounds().get(round)));
    }
    return Optional.of(Statistic.of(ratios));
  }
}
