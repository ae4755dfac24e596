package dev.lorikeet.bench.serve;

import dev.lorikeet.bench.Output;
import dev.lorikeet.bench.Statistic;
import dev.lorikeet.bench.machine.Floor;
import dev.lorikeet.bench.serve.RemoteContender.NotAvailable;
import dev.lorikeet.bench.serve.ServeReport.CaseResult;
import dev.lorikeet.bench.serve.ServeReport.Entrant;
import dev.lorikeet.bench.serve.ServeReport.Result;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.EnumMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Runs all cases on all contenders, round after round, one contender at a time; the order of the
 * contenders turns with every round. One that fails leaves, and keeps nothing.
 */
final class Tournament implements AutoCloseable {
  private static final int AGREEMENT_TOKENS = 16;

  private final Material material;
  private final int tokens;
  private final Output output;
  private final Map<Lineup, RemoteContender> contenders = new EnumMap<>(Lineup.class);
  private final Map<Lineup, String> failures = new EnumMap<>(Lineup.class);
  private final Map<Lineup, Map<Case, List<Outcome>>> outcomes = new EnumMap<>(Lineup.class);

  Tournament(Material material, int tokens, Output output) {
    this.material = material;
    this.tokens = tokens;
    this.output = output;
  }

  /** Starts a contender with its best settings and warms it up. */
  void enter(Lineup contender, Calibration.Choice choice, Path log) throws IOException {
    if (choice.best().isEmpty()) {
      failures.put(contender, choice.whyNot());
      return;
    }
    output.says("warming up " + contender);
    try {
      RemoteContender remote = RemoteContender.start(contender, choice.best().get(), material, log);
      contenders.put(contender, remote);
      outcomes.put(contender, new EnumMap<>(Case.class));
      for (Case what : Case.values()) {
        if (what.runsOn(contender)) {
          new WarmUp(material.vocabulary(), tokens / 2).run(remote, what);
        }
      }
    } catch (NotAvailable e) {
      leave(contender, e);
    }
  }

  private void leave(Lineup contender, NotAvailable failure) {
    output.says(contender + " is not available: " + failure.reason());
    failures.put(contender, failure.reason());
    outcomes.remove(contender);
    RemoteContender remote = contenders.remove(contender);
    if (remote != null) {
      remote.close();
    }
  }

  /** Compares what the others generate with what Lorikeet generates, without and with adapters. */
  List<Agreement> compare() throws IOException {
    List<Agreement> agreements = new ArrayList<>();
    for (Case what : List.of(Case.EIGHT, Case.EIGHT_ONE_ADAPTER, Case.EIGHT_ADAPTERS)) {
      Workload workload = what.workload(material.vocabulary(), 77, AGREEMENT_TOKENS);
      Map<Lineup, List<List<Integer>>> ids = new EnumMap<>(Lineup.class);
      for (var entry : Map.copyOf(contenders).entrySet()) {
        if (what.runsOn(entry.getKey())) {
          try {
            ids.put(entry.getKey(), entry.getValue().run(workload).ids());
          } catch (NotAvailable e) {
            leave(entry.getKey(), e);
          }
        }
      }
      List<List<Integer>> expected = ids.remove(Lineup.LORIKEET);
      if (expected != null) {
        ids.forEach(
            (contender, found) ->
                agreements.add(Agreement.of(contender.name(), what.title(), expected, found)));
      }
    }
    return agreements;
  }

  /** Plays the rounds. */
  void play(int rounds) throws IOException {
    long steps = (long) rounds * contenders.size() * Case.values().length;
    var progress = output.progress("rounds", steps);
    for (int round = 0; round < rounds; round++) {
      output.says("round " + (round + 1) + " of " + rounds);
      for (Case what : Case.values()) {
        List<Lineup> order = new ArrayList<>(contenders.keySet());
        Collections.rotate(order, round);
        for (Lineup contender : order) {
          if (what.runsOn(contender)) {
            run(contender, what, round);
          }
          progress.ifPresent(bar -> bar.step());
        }
      }
    }
    progress.ifPresent(bar -> bar.close());
  }

  private void run(Lineup contender, Case what, int round) throws IOException {
    RemoteContender remote = contenders.get(contender);
    Map<Case, List<Outcome>> kept = outcomes.get(contender);
    if (remote == null || kept == null) {
      return;
    }
    try {
      Outcome outcome = remote.run(what.workload(material.vocabulary(), round, tokens));
      kept.computeIfAbsent(what, w -> new ArrayList<>()).add(outcome);
    } catch (NotAvailable e) {
      leave(contender, e);
    }
  }

  /** Returns what was found, case by case. */
  List<CaseResult> results(StepCost cost, Floor machine) {
    List<CaseResult> results = new ArrayList<>();
    for (Case what : Case.values()) {
      double floor = cost.floor(what, tokens, machine);
      Map<String, Result> byContender = new LinkedHashMap<>();
      outcomes.forEach(
          (contender, cases) -> {
            List<Outcome> runs = cases.getOrDefault(what, List.of());
            if (!runs.isEmpty()) {
              byContender.put(contender.name(), result(what, runs, floor));
            }
          });
      results.add(new CaseResult(what.name(), what.title(), floor, byContender));
    }
    return results;
  }

  private static Result result(Case what, List<Outcome> runs, double floor) {
    List<Double> figures = runs.stream().map(what::figure).toList();
    Statistic statistic = Statistic.of(figures);
    return new Result(
        statistic,
        Statistic.of(runs.stream().map(Outcome::timeToFirstTokenMs).toList()),
        statistic.median() / floor,
        figures);
  }

  /** Returns what there is to tell of a contender. */
  Entrant entrant(Lineup contender, Calibration.Choice choice) {
    RemoteContender remote = contenders.get(contender);
    return new Entrant(
        contender.name(),
        remote == null ? contender.name() : remote.title(),
        failures.get(contender),
        choice.best().orElse(Map.of()),
        choice.tried(),
        remote == null ? 0 : remote.residentBytes());
  }

  @Override
  public void close() {
    contenders.values().forEach(RemoteContender::close);
  }
}
