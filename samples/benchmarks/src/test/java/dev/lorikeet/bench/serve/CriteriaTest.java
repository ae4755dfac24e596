package dev.lorikeet.bench.serve;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.bench.output.Statistic;
import dev.lorikeet.bench.serve.ServeReport.Criterion;
import dev.lorikeet.bench.serve.ServeReport.Result;
import dev.lorikeet.bench.serve.ServeReport.ScenarioResult;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

class CriteriaTest {
  /**
   * Figures of Lorikeet in every scenario, and of the others; two rounds, the second half as fast.
   */
  private static List<ScenarioResult> scenarios(
      Map<Scenario, Double> ours, Map<Contender, Double> others) {
    List<ScenarioResult> scenarios = new ArrayList<>();
    for (Scenario scenario : Scenario.values()) {
      Map<String, Result> results = new HashMap<>();
      results.put(Contender.LORIKEET.name(), result(ours.getOrDefault(scenario, 1000.0)));
      others.forEach((name, figure) -> results.put(name.name(), result(figure)));
      scenarios.add(new ScenarioResult(scenario.name(), scenario.title(), 2000, results));
    }
    return scenarios;
  }

  private static Result result(double figure) {
    List<Double> rounds = List.of(figure, figure / 2);
    return new Result(Statistic.of(rounds), Statistic.of(rounds), 0.5, rounds);
  }

  private static Criterion find(List<Criterion> criteria, String number) {
    return criteria.stream()
        .filter(c -> c.statement().startsWith(number))
        .findFirst()
        .orElseThrow();
  }

  @Test
  void ratiosAreTakenRoundByRound() {
    List<Criterion> criteria =
        Criteria.of(
            scenarios(Map.of(), Map.of(Contender.LLAMA_CPP, 200.0, Contender.JLAMA, 100.0)));
    assertEquals(new Statistic(5, 5, 5), find(criteria, "1a").value());
    assertTrue(find(criteria, "1a").holds());
    assertFalse(find(criteria, "1b").holds());
    assertFalse(find(criteria, "1c").holds());
    assertEquals(0.375, find(criteria, "1d").value().median(), 1e-9);
  }

  @Test
  void costsAreSharesOfTheThroughputWithoutAdapters() {
    List<Criterion> criteria =
        Criteria.of(
            scenarios(Map.of(Scenario.EIGHT_ADAPTERS, 800.0), Map.of(Contender.JLAMA, 1.0)));
    assertEquals(0.2, find(criteria, "3a").value().median(), 1e-9);
    assertFalse(find(criteria, "3a").holds());
    assertTrue(find(criteria, "3b").holds());
    assertTrue(
        criteria.stream().noneMatch(c -> c.statement().contains("java-llama.cpp")),
        "what was not measured is left out");
  }

  @Test
  void agreementCountsCommonBeginnings() {
    Agreement agreement =
        Agreement.of(
            "x",
            "none",
            List.of(List.of(1, 2, 3), List.of(4, 5, 6), List.of(7, 8, 9), List.of(1, 1, 1)),
            List.of(List.of(1, 2, 3), List.of(4, 9, 6), List.of(7, 8), List.of(0, 1, 1)));
    assertEquals(List.of(3, 1, 2, 0), agreement.commonTokens());
    assertEquals(3, agreement.sameFirst());
    assertTrue(agreement.same());
  }
}
