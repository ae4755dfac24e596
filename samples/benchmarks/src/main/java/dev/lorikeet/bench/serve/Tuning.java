package dev.lorikeet.bench.serve;

import dev.lorikeet.bench.process.NotAvailable;
import dev.lorikeet.bench.serve.ServeReport.Trial;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Consumer;

/**
 * Finds the fastest settings of each contender, so that the best of one is compared with the best
 * of the other: on eight sequences, or on one where a library runs no more at once; and for
 * adapters that a library can't mix, the fastest way around it.
 */
final class Tuning {
  private static final int TRIES = 2;

  private final Inputs inputs;
  private final int tokens;
  private final Path log;
  private final Consumer<String> says;

  Tuning(Inputs inputs, int tokens, Path log, Consumer<String> says) {
    this.inputs = inputs;
    this.tokens = tokens;
    this.log = log;
    this.says = says;
  }

  /**
   * The outcome.
   *
   * @param best the fastest settings, empty if none worked
   * @param tried all that was tried
   */
  record Choice(Optional<Map<String, String>> best, List<Trial> tried) {
    String whyNot() {
      return tried.isEmpty() ? "nothing to try" : String.valueOf(tried.getFirst().failure());
    }
  }

  Choice choose(Contender contender) throws IOException {
    List<Trial> tried = new ArrayList<>();
    Scenario scenario = contender == Contender.JLAMA ? Scenario.ONE : Scenario.EIGHT;
    for (Map<String, String> settings : contender.candidates()) {
      Trial trial = measure(contender, settings, scenario);
      tried.add(trial);
      says.accept(
          "  "
              + contender
              + " "
              + settings
              + ": "
              + (trial.failure() == null
                  ? Math.round(trial.tokensPerSecond()) + " tokens/s"
                  : "not available: " + trial.failure()));
    }
    return new Choice(
        tried.stream()
            .filter(trial -> trial.failure() == null)
            .max(Comparator.comparingDouble(Trial::tokensPerSecond))
            .map(Trial::settings),
        tried);
  }

  private Trial measure(Contender contender, Map<String, String> settings, Scenario scenario)
      throws IOException {
    double most = 0;
    try (RemoteEngine remote = RemoteEngine.start(contender, settings, inputs, log)) {
      new WarmUp(inputs.vocabulary(), tokens).run(remote, scenario);
      for (int attempt = 0; attempt < TRIES; attempt++) {
        Workload workload = scenario.workload(inputs.vocabulary(), 1000 + attempt, tokens);
        most = Math.max(most, scenario.figure(remote.run(workload)));
      }
      return new Trial(settings, most, null);
    } catch (NotAvailable e) {
      return new Trial(settings, 0, e.reason());
    }
  }
}
