package dev.lorikeet.bench.serve;

import dev.lorikeet.bench.Statistic;
import dev.lorikeet.bench.serve.ServeReport.CaseResult;
import dev.lorikeet.bench.serve.ServeReport.Criterion;
import dev.lorikeet.bench.serve.ServeReport.Result;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.function.DoubleBinaryOperator;

/**
 * What Lorikeet is meant to reach. Ratios are taken round by round, so that what slows the machine
 * for a while touches both sides alike. What was not measured is left out.
 */
final class Criteria {
  private final List<CaseResult> cases;
  private final List<Criterion> criteria = new ArrayList<>();

  private Criteria(List<CaseResult> cases) {
    this.cases = cases;
  }

  static List<Criterion> of(List<CaseResult> cases) {
    Criteria all = new Criteria(cases);
    all.times(
        "1a 8 sequences, 8 adapters: times java-llama.cpp with one adapter",
        Case.EIGHT_ADAPTERS,
        Lineup.LLAMA_CPP,
        Case.EIGHT_ONE_ADAPTER,
        4);
    all.times(
        "1b 8 sequences, 8 adapters: times java-llama.cpp with 8 adapters",
        Case.EIGHT_ADAPTERS,
        Lineup.LLAMA_CPP,
        Case.EIGHT_ADAPTERS,
        7);
    all.times(
        "1c 8 sequences, 8 adapters: times Jlama without adapters",
        Case.EIGHT_ADAPTERS,
        Lineup.JLAMA,
        Case.EIGHT,
        12);
    all.floor("1d 8 sequences, 8 adapters: fraction of the floor (stretch)", 0.6);
    all.times("2a 1 sequence: times java-llama.cpp", Case.ONE, Lineup.LLAMA_CPP, Case.ONE, 1.7);
    all.times("2b prefill of 256 tokens: times Jlama", Case.PREFILL, Lineup.JLAMA, Case.PREFILL, 3);
    all.cost("3a cost of 8 different adapters", Lineup.LORIKEET, Case.EIGHT_ADAPTERS, 0.18);
    all.cost(
        "3b cost of one adapter for all 8, as deltas",
        Lineup.LORIKEET,
        Case.EIGHT_ONE_ADAPTER,
        0.06);
    all.cost(
        "3b cost of one adapter for all 8, merged by the planner",
        Lineup.LORIKEET_AUTO,
        Case.EIGHT_ONE_ADAPTER,
        0.06);
    return List.copyOf(all.criteria);
  }

  private CaseResult find(Case wanted) {
    return cases.stream().filter(c -> c.name().equals(wanted.name())).findFirst().orElseThrow();
  }

  private void times(String statement, Case ours, Lineup other, Case theirs, double atLeast) {
    compare(Lineup.LORIKEET, ours, other, theirs, (a, b) -> a / b)
        .ifPresent(value -> criteria.add(new Criterion(statement, value, atLeast, null)));
  }

  private void cost(String statement, Lineup who, Case with, double atMost) {
    double floor = 1 - find(with).floorTokensPerSecond() / find(Case.EIGHT).floorTokensPerSecond();
    String stated =
        String.format(java.util.Locale.ROOT, "%s (at the floor: %.3f)", statement, floor);
    compare(who, with, Lineup.LORIKEET, Case.EIGHT, (a, b) -> 1 - a / b)
        .ifPresent(value -> criteria.add(new Criterion(stated, value, null, atMost)));
  }

  private void floor(String statement, double atLeast) {
    CaseResult eight = find(Case.EIGHT_ADAPTERS);
    eight
        .of(Lineup.LORIKEET)
        .ifPresent(
            result ->
                criteria.add(
                    new Criterion(
                        statement,
                        Statistic.of(
                            result.rounds().stream()
                                .map(figure -> figure / eight.floorTokensPerSecond())
                                .toList()),
                        atLeast,
                        null)));
  }

  private Optional<Statistic> compare(
      Lineup who, Case ours, Lineup other, Case theirs, DoubleBinaryOperator ratio) {
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
