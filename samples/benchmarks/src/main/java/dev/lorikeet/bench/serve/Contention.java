package dev.lorikeet.bench.serve;

import dev.lorikeet.bench.output.Output;
import dev.lorikeet.bench.output.Statistic;
import dev.lorikeet.bench.process.NotAvailable;
import dev.lorikeet.bench.serve.ContentionReport.Result;
import dev.lorikeet.bench.serve.ContentionReport.Row;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicBoolean;
import org.jspecify.annotations.Nullable;

/**
 * Measures contenders in one situation after the other, round after round, so that what slows the
 * machine for a while touches all alike. Every figure is compared with the same contender's in the
 * quiet, in the same round.
 */
final class Contention implements AutoCloseable {
  private static final List<Scenario> SCENARIOS = List.of(Scenario.ONE, Scenario.EIGHT);

  private final Inputs inputs;
  private final int tokens;
  private final Path log;
  private final Output output;
  private final Map<Contender, RemoteEngine> engines = new EnumMap<>(Contender.class);
  private final Map<Key, Figures> figures = new LinkedHashMap<>();
  private final Map<Situation, String> skipped = new LinkedHashMap<>();

  private record Key(Situation situation, Scenario scenario) {}

  /** Figures and shares of quiet by contender, a pair a round. */
  private static final class Figures {
    final Map<Contender, List<Double>> tokensPerSecond = new EnumMap<>(Contender.class);
    final Map<Contender, List<Double>> shares = new EnumMap<>(Contender.class);
  }

  /** Beside what a contender runs. */
  sealed interface Situation {
    /** Returns what is said of it. */
    String title();

    /** Returns the share of the processors that is left to {@code threads} threads. */
    default double left(int processors, int threads) {
      return 1;
    }

    /** Nothing else. */
    record Quiet() implements Situation {
      @Override
      public String title() {
        return "quiet";
      }
    }

    /** Processes that are always busy. */
    record Busy(int processes) implements Situation {
      @Override
      public String title() {
        return "beside " + processes + (processes == 1 ? " busy process" : " busy processes");
      }

      @Override
      public double left(int processors, int threads) {
        // every thread gets as much, and none more than a processor
        int used = Math.min(processors, threads);
        double each = Math.min(1, (double) processors / (threads + processes));
        return Math.min(used, threads * each) / used;
      }
    }

    /** A limit on the time of processors. */
    record Limited(int percent) implements Situation {
      @Override
      public String title() {
        return "with " + percent + " % of a processor";
      }

      @Override
      public double left(int processors, int threads) {
        return Math.min(1, percent / 100.0 / Math.min(processors, threads));
      }
    }

    /** A second Lorikeet that serves eight sequences. */
    record Twin() implements Situation {
      @Override
      public String title() {
        return "beside a second Lorikeet";
      }

      @Override
      public double left(int processors, int threads) {
        return Math.min(1, 0.5 * processors / Math.min(processors, threads));
      }
    }

    /** More threads than processors. */
    record Threads(int count) implements Situation {
      @Override
      public String title() {
        return "quiet, " + count + " threads";
      }
    }
  }

  Contention(Inputs inputs, int tokens, Path log, Output output) {
    this.inputs = inputs;
    this.tokens = tokens;
    this.log = log;
    this.output = output;
  }

  /** Starts a contender and warms it up; one that is not available here is left out. */
  void add(Contender contender) throws IOException {
    output.says("warming up " + contender);
    try {
      engines.put(contender, warm(contender, inputs, List.of()));
    } catch (NotAvailable e) {
      output.says(contender + " is not available: " + e.reason());
    }
  }

  private RemoteEngine warm(Contender contender, Inputs with, List<String> prefix)
      throws IOException, NotAvailable {
    RemoteEngine engine =
        RemoteEngine.start(contender, contender.candidates().getFirst(), with, log, prefix);
    try {
      for (Scenario scenario : SCENARIOS) {
        new WarmUp(inputs.vocabulary(), tokens).run(engine, scenario);
      }
      return engine;
    } catch (IOException | NotAvailable | RuntimeException e) {
      engine.close();
      throw e;
    }
  }

  /** Measures a round. */
  void round(List<Situation> situations, int round) throws IOException, NotAvailable {
    Map<Contender, Map<Scenario, Double>> quiet = new EnumMap<>(Contender.class);
    for (Situation situation : situations) {
      if (skipped.containsKey(situation)) {
        continue;
      }
      switch (situation) {
        case Situation.Quiet q -> measure(situation, engines, round, quiet);
        case Situation.Busy(int processes) -> {
          try (Neighbours neighbours = Neighbours.start(processes)) {
            measure(situation, engines, round, quiet);
          }
        }
        case Situation.Limited(int percent) -> limited(situation, percent, round, quiet);
        case Situation.Twin t -> beside(situation, round, quiet);
        case Situation.Threads(int count) -> threads(situation, count, round, quiet);
      }
    }
  }

  private void limited(
      Situation situation, int percent, int round, Map<Contender, Map<Scenario, Double>> quiet)
      throws IOException, NotAvailable {
    try (Quota quota = Quota.of(percent)) {
      for (Contender contender : engines.keySet()) {
        try (RemoteEngine engine = warm(contender, inputs, quota.prefix())) {
          measure(situation, Map.of(contender, engine), round, quiet);
        }
      }
    } catch (Quota.Impossible e) {
      skipped.put(situation, String.valueOf(e.getMessage()));
      output.says(situation.title() + ": skipped, " + e.getMessage());
    }
  }

  private void threads(
      Situation situation, int count, int round, Map<Contender, Map<Scenario, Double>> quiet)
      throws IOException, NotAvailable {
    Inputs more =
        new Inputs(
            inputs.model(),
            inputs.adapters(),
            inputs.gguf(),
            inputs.ggufAdapters(),
            inputs.vocabulary(),
            count);
    for (Contender contender : engines.keySet()) {
      try (RemoteEngine engine = warm(contender, more, List.of())) {
        measure(situation, Map.of(contender, engine), round, quiet);
      }
    }
  }

  private void beside(Situation situation, int round, Map<Contender, Map<Scenario, Double>> quiet)
      throws IOException, NotAvailable {
    AtomicBoolean over = new AtomicBoolean();
    try (RemoteEngine twin = warm(Contender.LORIKEET, inputs, List.of())) {
      Thread load =
          Thread.ofPlatform().start(() -> run(twin, over)); // until what is beside it is measured
      measure(situation, engines, round, quiet);
      over.set(true);
      join(load);
    }
  }

  private void run(RemoteEngine twin, AtomicBoolean over) {
    try {
      for (int seed = -100; !over.get(); seed--) {
        twin.run(Scenario.EIGHT.workload(inputs.vocabulary(), seed, tokens));
      }
    } catch (IOException | NotAvailable e) {
      output.says("the second Lorikeet ended: " + e);
    }
  }

  private static void join(Thread thread) {
    try {
      thread.join();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  private void measure(
      Situation situation,
      Map<Contender, RemoteEngine> measured,
      int round,
      Map<Contender, Map<Scenario, Double>> quiet)
      throws IOException, NotAvailable {
    for (Scenario scenario : SCENARIOS) {
      Figures found = figures.computeIfAbsent(new Key(situation, scenario), key -> new Figures());
      for (var entry : measured.entrySet()) {
        Contender contender = entry.getKey();
        Workload workload = scenario.workload(inputs.vocabulary(), round, tokens);
        double figure = scenario.figure(entry.getValue().run(workload));
        Map<Scenario, Double> alone =
            quiet.computeIfAbsent(contender, key -> new EnumMap<>(Scenario.class));
        double whole = alone.computeIfAbsent(scenario, key -> figure); // the first is the quiet one
        found.tokensPerSecond.computeIfAbsent(contender, key -> new ArrayList<>()).add(figure);
        found.shares.computeIfAbsent(contender, key -> new ArrayList<>()).add(figure / whole);
      }
    }
  }

  /** Returns names and versions of those that are measured. */
  Map<String, String> titles() {
    Map<String, String> titles = new LinkedHashMap<>();
    engines.forEach((contender, engine) -> titles.put(contender.name(), engine.title()));
    return titles;
  }

  /** Returns what was found. */
  List<Row> rows(List<Situation> situations, int processors) {
    List<Row> rows = new ArrayList<>();
    for (Situation situation : situations) {
      for (Scenario scenario : SCENARIOS) {
        @Nullable String reason = skipped.get(situation);
        Map<String, Result> results = new LinkedHashMap<>();
        Optional.ofNullable(figures.get(new Key(situation, scenario)))
            .ifPresent(
                found ->
                    found.tokensPerSecond.forEach(
                        (contender, values) ->
                            results.put(
                                contender.name(),
                                new Result(
                                    Statistic.of(values),
                                    Statistic.of(
                                        found.shares.getOrDefault(contender, List.of()))))));
        rows.add(
            new Row(
                situation.title(),
                scenario.sequences(),
                situation.left(processors, inputs.threads()),
                reason,
                results));
      }
    }
    return rows;
  }

  @Override
  public void close() {
    engines.values().forEach(RemoteEngine::close);
  }
}
