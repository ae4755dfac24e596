package dev.lorikeet.host.serving;

import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/**
 * Random workloads after each of which every page and lease is back, the queue is empty, and
 * whatever survived has the output of an undisturbed run. {@code -Dlorikeet.workloads=1000} runs
 * more of them; {@code -Dlorikeet.seed=N} repeats a run.
 */
@Timeout(900)
class WorkloadTest {
  /** Returns the model to serve; whoever computes one for real runs the same workloads with it. */
  ServedModel model() {
    return new FakeModel();
  }

  /** Returns how many workloads to run unless told otherwise. */
  int workloads() {
    return 200;
  }

  @Test
  void everyPageComesBackAndSurvivorsAreUndisturbed() {
    int workloads = Integer.getInteger("lorikeet.workloads", workloads());
    long seed = Long.getLong("lorikeet.seed", System.nanoTime());
    System.out.println("seed " + seed + ", " + workloads + " workloads");
    Catalogue catalogue = Catalogue.compute(model(), 1);
    Workload.Tally tally = new Workload.Tally();
    for (int i = 0; i < workloads; i++) {
      try (Workload workload = new Workload(model(), seed + i, catalogue)) {
        workload.run(tally);
      }
    }
    System.out.printf(
        "%d survived, failed: %s; %d steps, %d preemptions, evicted: %d blocks and %d adapters,"
            + " reused: %d tokens%n",
        tally.survivors,
        tally.failures,
        tally.steps,
        tally.preemptions,
        tally.evictedBlocks,
        tally.evictedAdapters,
        tally.reusedTokens);
    assertTrue(tally.survivors > 3 * workloads, "survivors: " + tally.survivors);
    assertTrue(tally.preemptions > workloads / 10, "preemptions: " + tally.preemptions);
    assertTrue(tally.evictedAdapters > 0 && tally.evictedBlocks > 0, "nothing was evicted");
    assertTrue(tally.reusedTokens > 0, "nothing was reused");
    assertTrue(tally.failures.size() >= 4, "kinds of failure: " + tally.failures);
  }
}
