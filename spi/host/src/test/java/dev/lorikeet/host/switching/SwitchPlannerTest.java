package dev.lorikeet.host.switching;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.adapter.AdapterLease;
import dev.lorikeet.adapter.AdapterSpec;
import dev.lorikeet.adapter.LoraWeights;
import dev.lorikeet.adapter.TargetSpec;
import dev.lorikeet.executor.LoraBatch;
import dev.lorikeet.host.switching.SwitchPlanner.Choice;
import dev.lorikeet.shape.Projection;
import dev.lorikeet.shape.TargetModule;
import dev.lorikeet.tensor.ElementType;
import java.util.List;
import java.util.Optional;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

/** The planner on a clock of the test's own. */
class SwitchPlannerTest {
  private static final int LAYERS = 10;
  private static final int TOKENS = 3;

  private record Lease(long generation) implements AdapterLease {
    @Override
    public AdapterSpec spec() {
      TargetModule module = TargetModule.of(0, Projection.Q);
      return AdapterSpec.of(
          "a" + generation,
          generation,
          List.of(
              TargetSpec.builder(module)
                  .rank(1)
                  .inFeatures(1)
                  .outFeatures(1)
                  .scaling(1)
                  .type(ElementType.F32)
                  .build()));
    }

    @Override
    public Optional<LoraWeights> weights(TargetModule target) {
      return Optional.empty();
    }

    @Override
    public void close() {}
  }

  /** A batch whose tokens all use these adapters, each with the same weight. */
  private static LoraBatch shared(float weight, long... generations) {
    LoraBatch batch = new LoraBatch().reset(TOKENS);
    for (long generation : generations) {
      batch.beginSegment(new Lease(generation));
      for (int t = 0; t < TOKENS; t++) {
        batch.add(t, weight);
      }
    }
    return batch;
  }

  private static LoraBatch varied() {
    LoraBatch batch = shared(1, 1);
    return batch.beginSegment(new Lease(2)).add(0, 1);
  }

  /** Runs a step of unknown duration as the decoder does and returns what it cost. */
  private static long step(SwitchPlanner planner, LoraBatch batch, long rent, long price) {
    return step(planner, batch, 0, rent, price);
  }

  /** The same, when the mixture stays for {@code steps}. */
  private static long step(
      SwitchPlanner planner, LoraBatch batch, int steps, long rent, long price) {
    long cost = 0;
    Choice choice = planner.choose(batch, steps);
    if (choice == Choice.PROBE) {
      planner.probed(price / LAYERS, 2 * (price / LAYERS), LAYERS);
      cost += 2 * (price / LAYERS);
      choice = planner.choose(batch, steps);
    }
    if (choice == Choice.SWITCH) {
      planner.switching();
      planner.switched(batch, price);
      cost += price;
    }
    if (choice == Choice.SWITCH || choice == Choice.MERGED) {
      planner.usedMerged();
      return cost;
    }
    planner.rented(batch, false, rent);
    return cost + rent;
  }

  @Test
  void deltasAreAllThatDeltaModeChooses() {
    SwitchPlanner planner = new SwitchPlanner(Switching.DELTA, 1);
    for (int i = 0; i < 1000; i++) {
      assertEquals(Choice.DELTA, planner.choose(shared(1, 1), 0));
      step(planner, shared(1, 1), 1_000_000, 1);
    }
    assertEquals(1000, planner.deltaSteps());
    assertEquals(0, planner.mergedSteps());
    assertEquals(0, planner.probeNanos());
  }

  @Test
  void mergeModeSwitchesAtOnceAndOnlyWhenTheMixtureChanges() {
    SwitchPlanner planner = new SwitchPlanner(Switching.MERGE, 1);
    step(planner, shared(1, 1), 1, 100);
    step(planner, shared(1, 1), 1, 100);
    assertEquals(0, planner.deltaSteps());
    assertEquals(2, planner.mergedSteps());
    assertEquals(1, planner.switches());
    assertEquals(100, planner.switchNanos());
    step(planner, shared(0.5f, 1), 1, 100);
    step(planner, shared(0.5f, 1, 2), 1, 100);
    step(planner, shared(0.5f, 2, 1), 1, 100);
    assertEquals(4, planner.switches());
  }

  @Test
  void nothingIsMeasuredWhereEvenCopyingAllWeightsWouldNotPay() {
    SwitchPlanner planner = new SwitchPlanner(Switching.AUTO, 1000);
    for (int i = 0; i < 10; i++) {
      assertEquals(Choice.DELTA, planner.choose(shared(1, 1), 10 - i), "step " + i);
      planner.rented(shared(1, 1), false, 100);
    }
    assertEquals(Choice.DELTA, planner.choose(shared(1, 1), 20));
    assertEquals(Choice.PROBE, planner.choose(shared(1, 1), 21));
  }

  @Test
  void aMixtureThatIsKnownToStayIsMergedAfterTwoMeasuredStepsAndAShortOneNever() {
    SwitchPlanner planner = new SwitchPlanner(Switching.AUTO, 40_000);
    for (int length = 10; length < 2_000; length += 10) {
      long paid = 0;
      for (int i = 0; i < length; i++) {
        paid += step(planner, shared(1, length), length - i, 100, 50_000);
      }
      long measuring = length == 810 ? 10_000 : 0; // once, when copying alone would pay
      long best = Math.min(100 * length, 50_000);
      assertTrue(paid <= 2 * best + 200 + measuring, length + " steps: " + paid + ", best " + best);
    }
  }

  @Test
  void aMixtureThatOutlivesManyShortSequencesIsMerged() {
    SwitchPlanner planner = new SwitchPlanner(Switching.AUTO, 1);
    long paid = 0;
    for (int i = 0; i < 5_000; i++) {
      paid += step(planner, shared(1, 3), 10 - i % 10, 100, 50_000);
    }
    assertEquals(1, planner.switches());
    assertTrue(paid <= 3.2 * 50_000 + 100, "paid " + paid);
  }

  @Test
  void aPriceIsMeasuredOnceForAllMixturesOfTheSameSize() {
    SwitchPlanner planner = new SwitchPlanner(Switching.AUTO, 1);
    long probes = 0;
    for (int mixture = 1; mixture <= 20; mixture++) {
      for (int i = 0; i < 100; i++) {
        step(planner, shared(1, mixture), 100 - i, 2_000, 50_000);
      }
      probes = mixture == 1 ? planner.probeNanos() : probes;
      assertEquals(mixture, planner.switches());
    }
    assertEquals(10_000, probes);
    assertEquals(probes, planner.probeNanos());
  }

  @Test
  void oneSlowSwitchDoesNotRuleOutTheNext() {
    SwitchPlanner planner = new SwitchPlanner(Switching.AUTO, 1);
    for (int i = 0; i < 3; i++) {
      step(planner, shared(1, 1), 1000, 100, i == 2 ? 10_000 : 20_000);
    }
    planner.switching();
    planner.switched(shared(1, 1), 10_000_000); // a pause of the machine
    for (int i = 0; i < 3; i++) {
      step(planner, shared(1, 2), 1000, 100, 20_000);
    }
    assertEquals(3, planner.switches());
  }

  @Test
  void aBatchWhoseTokensDifferIsComputedWithDeltasInEveryMode() {
    for (Switching mode : Switching.values()) {
      SwitchPlanner planner = new SwitchPlanner(mode, 1);
      LoraBatch oneTokenWithout = new LoraBatch().reset(2).beginSegment(new Lease(1)).add(1, 1);
      LoraBatch otherWeight =
          new LoraBatch().reset(2).beginSegment(new Lease(1)).add(0, 1).add(1, 0.5f);
      for (int i = 0; i < 100; i++) {
        assertEquals(Choice.DELTA, planner.choose(varied(), 0), mode.name());
        assertEquals(Choice.DELTA, planner.choose(oneTokenWithout, 9), mode.name());
        assertEquals(Choice.DELTA, planner.choose(otherWeight, 9), mode.name());
        planner.rented(varied(), false, 1_000_000_000);
      }
      assertEquals(0, planner.switches());
    }
  }

  @Test
  void aMixtureThatStaysIsMergedOnceItsDeltasHaveCostASwitch() {
    SwitchPlanner planner = new SwitchPlanner(Switching.AUTO, 1);
    long rent = 0;
    int steps = 0;
    while (planner.switches() == 0) {
      assertTrue(steps++ < 10_000, "never merged");
      rent += step(planner, shared(1, 4), 100, 50_000);
    }
    assertTrue(planner.deltaSteps() >= 500, "deltas: " + planner.deltaSteps());
    assertTrue(planner.deltaSteps() <= 501, "deltas: " + planner.deltaSteps());
    assertTrue(rent <= 2 * 50_000 + 10_000 + 100, "cost " + rent);
    assertEquals(0, step(planner, shared(1, 4), 100, 50_000));
    // Others come and go: the merged state is kept.
    step(planner, varied(), 100, 50_000);
    step(planner, shared(1, 5), 100, 50_000);
    assertEquals(0, step(planner, shared(1, 4), 100, 50_000));
  }

  @Test
  void aNewGenerationOfAnAdapterIsAnotherMixture() {
    SwitchPlanner planner = new SwitchPlanner(Switching.MERGE, 1);
    step(planner, shared(1, 7), 1, 100);
    assertEquals(Choice.SWITCH, planner.choose(shared(1, 8), 1));
  }

  @Test
  void aFailedSwitchLeavesNothingThatCountsAsMerged() {
    SwitchPlanner planner = new SwitchPlanner(Switching.MERGE, 1);
    step(planner, shared(1, 7), 1, 100);
    planner.switching();
    assertEquals(Choice.SWITCH, planner.choose(shared(1, 7), 1));
  }

  @Test
  void whateverComesCostsAtMostTwiceTheBestChoiceInHindsight() {
    long seed = System.nanoTime();
    SplittableRandom random = new SplittableRandom(seed);
    for (int round = 0; round < 200; round++) {
      SwitchPlanner planner = new SwitchPlanner(Switching.AUTO, 1);
      long price = 1_000L + random.nextInt(1_000_000);
      long rent = 10L + random.nextInt(10_000);
      long paid = 0;
      long best = 0;
      int runs = 1 + random.nextInt(20);
      for (int run = 0; run < runs; run++) {
        // Every run is a new mixture; in hindsight its best is to rent throughout or to buy at
        // once.
        int length = 1 + random.nextInt(2_000);
        best += Math.min(rent * length, price);
        for (int i = 0; i < length; i++) {
          paid += step(planner, shared(1, run + 1), rent, price);
        }
      }
      // Beyond the bound: the two steps of each run that are measured, and one measurement of the
      // price.
      long slack = runs * 2L * rent + 2 * (price / LAYERS);
      assertTrue(
          paid <= 2 * best + slack,
          "seed " + seed + " round " + round + ": paid " + paid + ", best " + best);
    }
  }
}
