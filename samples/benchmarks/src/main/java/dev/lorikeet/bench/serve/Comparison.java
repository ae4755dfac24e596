package dev.lorikeet.bench.serve;

import dev.lorikeet.bench.machine.Roofline;
import dev.lorikeet.bench.output.Output;
import dev.lorikeet.bench.output.Statistic;
import dev.lorikeet.bench.process.NotAvailable;
import dev.lorikeet.bench.serve.ServeReport.ContenderResult;
import dev.lorikeet.bench.serve.ServeReport.Result;
import dev.lorikeet.bench.serve.ServeReport.ScenarioResult;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.EnumMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Measures all scenarios on all contenders, round after round, one contender at a time; the order
 * of the contenders turns with every round. One that fails is dropped with all that it did.
 */
final class Comparison implements AutoCloseable {
  private static final int AGREEMENT_TOKENS = 16;

  private final Inputs inputs;
  private final int tokens;
  private final Output output;
  private final Map<Contender, RemoteEngine> contenders = new EnumMap<>(Contender.class);
  private final Map<Contender, String> failures = new EnumMap<>(Contender.class);
  private final Map<Contender, Map<Scenario, List<Outcome>>> outcomes =
      new EnumMap<>(Contender.class);

  Comparison(Inputs inputs, int tokens, Output output) {
    this.inputs = inputs;
    this.tokens = tokens;
    this.output = output;
  }

  /** Starts a contender with its best settings and warms it up. */
  void add(Contender contender, Tuning.Choice choice, Path log) throws IOException {
    if (choice.best().isEmpty()) {
      failures.put(contender, choice.whyNot());
      return;
    }
    output.says("warming up " + contender);
    try {
      RemoteEngine remote = RemoteEngine.start(contender, choice.best().get(), inputs, log);
      contenders.put(contender, remote);
      outcomes.put(contender, new EnumMap<>(Scenario.class));
      for (Scenario scenario : Scenario.values()) {
        if (scenario.runsOn(contender)) {
          new WarmUp(inputs.vocabulary(), tokens / 2).run(remote, scenario);
        }
      }
    } catch (NotAvailable e) {
      drop(contender, e);
    }
  }

  private void drop(Contender contender, NotAvailable failure) {
    output.says(contender + " is not available: " + failure.reason());
    failures.put(contender, failure.reason());
    outcomes.remove(contender);
    RemoteEngine remote = contenders.remove(contender);
    if (remote != null) {
      remote.close();
    }
  }

  /** Compares what the others generate with what Lorikeet generates, without and with adapters. */
  List<Agreement> agreements() throws IOException {
    List<Agreement> agreements = new ArrayList<>();
    for (Scenario scenario :
        List.of(Scenario.EIGHT, Scenario.EIGHT_ONE_ADAPTER, Scenario.EIGHT_ADAPTERS)) {
      Workload workload = scenario.workload(inputs.vocabulary(), 77, AGREEMENT_TOKENS);
      Map<Contender, List<List<Integer>>> ids = new EnumMap<>(Contender.class);
      for (var entry : Map.copyOf(contenders).entrySet()) {
        if (scenario.runsOn(entry.getKey())) {
          try {
            ids.put(entry.getKey(), entry.getValue().run(workload).ids());
          } catch (NotAvailable e) {
            drop(entry.getKey(), e);
          }
        }
      }
      List<List<Integer>> expected = ids.remove(Contender.LORIKEET);
      if (expected != null) {
        ids.forEach(
            (contender, found) ->
                agreements.add(Agreement.of(contender.name(), scenario.title(), expected, found)));
      }
    }
    return agreements;
  }

  /** Measures every scenario, in so many rounds. */
  void measure(int rounds) throws IOException {
    long steps = (long) rounds * contenders.size() * Scenario.values().length;
    var progress = output.progress("rounds", steps);
    for (int round = 0; round < rounds; round++) {
      output.says("round " + (round + 1) + " of " + rounds);
      for (Scenario scenario : Scenario.values()) {
        List<Contender> order = new ArrayList<>(contenders.keySet());
        Collections.rotate(order, round);
        for (Contender contender : order) {
          if (scenario.runsOn(contender)) {
            run(contender, scenario, round);
          }
          progress.ifPresent(bar -> bar.step());
        }
      }
    }
    progress.ifPresent(bar -> bar.close());
  }

  private void run(Contender contender, Scenario scenario, int round) throws IOException {
    RemoteEngine remote = contenders.get(contender);
    Map<Scenario, List<Outcome>> kept = outcomes.get(contender);
    if (remote == null || kept == null) {
      return;
    }
    try {
      Outcome outcome = remote.run(scenario.workload(inputs.vocabulary(), round, tokens));
      kept.computeIfAbsent(scenario, s -> new ArrayList<>()).add(outcome);
    } catch (NotAvailable e) {
      drop(contender, e);
    }
  }

  /** Returns what was found, scenario by scenario. */
  List<ScenarioResult> results(StepCost cost, Roofline machine) {
    List<ScenarioResult> results = new ArrayList<>();
    for (Scenario scenario : Scenario.values()) {
      double roofline = cost.roofline(scenario, tokens, machine);
      Map<String, Result> byContender = new LinkedHashMap<>();
      outcomes.forEach(
          (contender, scenarios) -> {
            List<Outcome> runs = scenarios.getOrDefault(scenario, List.of());
            if (!runs.isEmpty()) {
              byContender.put(contender.name(), result(scenario, runs, roofline));
            }
          });
      results.add(new ScenarioResult(scenario.name(), scenario.title(), roofline, byContender));
    }
    return results;
  }

  private static Result result(Scenario scenario, List<Outcome> runs, double roofline) {
    List<Double> figures = runs.stream().map(scenario::figure).toList();
    Statistic statistic = Statistic.of(figures);
    return new Result(
        statistic,
        Statistic.of(runs.stream().map(Outcome::timeToFirstTokenMs).toList()),
        statistic.median() / roofline,
        figures);
  }

  /** Returns what there is to tell of a contender. */
  ContenderResult result(Contender contender, Tuning.Choice choice) {
    RemoteEngine remote = contenders.get(contender);
    return new ContenderResult(
        contender.name(),
        remote == null ? contender.name() : remote.title(),
        failures.get(contender),
        choice.best().orElse(Map.of()),
        choice.tried(),
        remote == null ? 0 : remote.residentBytes());
  }

  @Override
  public void close() {
    contenders.values().forEach(RemoteEngine::close);
  }
}
