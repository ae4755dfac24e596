package dev.lorikeet.bench.serve;

import dev.lorikeet.bench.model.Vocabulary;
import dev.lorikeet.bench.process.NotAvailable;
import java.io.IOException;

/**
 * Runs a scenario until it gets no faster: a JVM compiles its loops while they run.
 *
 * @param vocabulary makes the prompts
 * @param tokens how many tokens to generate in each run
 */
record WarmUp(Vocabulary vocabulary, int tokens) {
  private static final int LEAST = 2;
  private static final int MOST = 10;
  private static final double FASTER = 1.03;

  void run(RemoteEngine engine, Scenario scenario) throws IOException, NotAvailable {
    double best = 0;
    int since = 0;
    for (int run = 0; run < MOST && since < LEAST; run++) {
      Outcome outcome = engine.run(scenario.workload(vocabulary, -1 - run, tokens));
      double figure = scenario.figure(outcome);
      since = figure > FASTER * best ? 0 : since + 1;
      best = Math.max(best, figure);
    }
  }
}
