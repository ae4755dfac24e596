package dev.lorikeet.conformance.executor;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.conformance.executor.Placed.Site;
import dev.lorikeet.conformance.setup.Profile;
import dev.lorikeet.conformance.tensor.MemoryAdapter;
import dev.lorikeet.conformance.tensor.MemoryAdapter.Factors;
import dev.lorikeet.conformance.tensor.MemoryAdapter.Sizes;
import dev.lorikeet.executor.FactorGradients;
import dev.lorikeet.executor.GradientSums;
import dev.lorikeet.executor.LoraExecutor;
import dev.lorikeet.executor.LoraGradients;
import dev.lorikeet.tensor.Device;
import dev.lorikeet.tensor.ElementType;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;

/** Rules T6 to T11: what {@code addGradients} takes, and what it leaves alone. */
abstract class GradientShapeRules extends GradientRules {
  GradientShapeRules() {}

  @Test
  public final void required_T6_anyRankSizeAndTypeIsTaken() {
    try (LoraExecutor executor = learning()) {
      LoraGradients gradients = gradients(executor);
      assertTrue(
          gradients.takesActivations(ElementType.F32, Device.HOST), "takesActivations(F32, host)");
      int[] ranks = {1, 2, 3, 7, 8, 15, 16, 17, 31, 32, 33, 64, 65, 128, 255, 256};
      for (int rank : ranks) {
        DeltaCase c =
            new DeltaCase(trial, Q, 3, trial.between(1, 99), new int[] {trial.between(1, 99)}, 5);
        c.all(c.adapter(rank, ElementType.F32), 1f);
        new GradientCase(trial, c, 5).runAndCheck(gradients);
      }
      for (int size = 1; size <= 67; size += trial.profile() == Profile.QUICK ? 3 : 1) {
        DeltaCase c = new DeltaCase(trial, Q, trial.between(1, 9), size, new int[] {68 - size}, 9);
        c.all(c.adapter(trial.between(1, 9), TYPES.get(size % 3)), 1f);
        new GradientCase(trial, c, 9).runAndCheck(gradients);
      }
      DeltaCase together = new DeltaCase(trial, Q, 40, 77, new int[] {53}, 1);
      for (int rank : ranks) {
        together.adapter(rank, TYPES.get(rank % 3));
      }
      new GradientCase(trial, together.disjointSegments(), 1).runAndCheck(gradients);
    }
  }

  @Test
  public final void required_T6_activationsAreTakenWhereTheExecutorSays() {
    try (LoraExecutor executor = learning()) {
      LoraGradients gradients = gradients(executor);
      for (Site site : Site.all(placement(executor))) {
        if (site.type() == ElementType.F32
            && gradients.takesActivations(site.type(), site.device())) {
          DeltaCase c = new DeltaCase(trial, QKV, 12, 33, new int[] {33, 17, 17}, 3);
          TYPES.forEach(type -> c.adapter(trial.between(1, 20), type));
          new GradientCase(trial, c.randomSegments(4), 3).run(gradients, site.placement()).check();
        }
      }
    }
  }

  @Test
  public final void required_T7_gradientsOfBlocksAreThoseOfTheDenseFactors() {
    try (LoraExecutor executor = learning()) {
      int[][] blocks = {{2, 1}, {1, 2}, {4, 4}, {1, 8}, {8, 1}, {2, 4}};
      for (int round = 0; round < trial.trials(blocks.length); round++) {
        int[] pair = blocks[round % blocks.length];
        int rank = 8 * trial.between(1, 4);
        int in = 16 * trial.between(1, 5);
        int out = 16 * trial.between(1, 5);
        DeltaCase c = new DeltaCase(trial, Q, 9, in, new int[] {out}, 0);
        Factors blocked =
            Factors.random(
                new Sizes(Q.targets().getFirst(), rank, in, out, pair[0], pair[1]),
                0.5f,
                ElementType.F32,
                DeltaCase.NORMAL,
                trial.random());
        c.all(c.adapter(ElementType.F32, List.of(blocked)), 1f);
        new GradientCase(trial, c, 0).runAndCheck(gradients(executor));
        c.batch.reset(c.tokens);
        c.all(c.adapter(ElementType.F32, List.of(blocked.dense())), 1f);
        new GradientCase(trial, c, 0).runAndCheck(gradients(executor));
      }
    }
  }

  @Test
  public final void required_T8_whatNothingAddsToStaysBitForBit() {
    try (LoraExecutor executor = learning()) {
      for (int round = 0; round < trial.trials(4); round++) {
        DeltaCase c =
            new DeltaCase(
                trial,
                QKV,
                trial.between(12, 30),
                trial.between(1, 40),
                new int[] {trial.between(1, 40), trial.between(1, 20), trial.between(1, 20)},
                17);
        int qAndV =
            c.adapter(
                ElementType.F32,
                List.of(factors(c, 0, 4, ElementType.F32), factors(c, 2, 4, ElementType.F32)));
        int kAlone = c.adapter(ElementType.BF16, List.of(factors(c, 1, 8, ElementType.BF16)));
        int elsewhere =
            c.adapter(
                ElementType.F32,
                List.of(
                    Factors.random(
                        Sizes.dense(Q.targets().getFirst(), 2, c.in, 5),
                        1f,
                        ElementType.F32,
                        DeltaCase.NORMAL,
                        trial.random())));
        int unused = c.adapter(4, ElementType.F32);
        c.segment(qAndV).batch.add(1, 1f).add(4, 1f).add(9, 2f);
        c.segment(kAlone).batch.add(0, 1f).add(4, -1f);
        c.segment(elsewhere).batch.add(2, 1f);
        c.segment(unused);
        GradientCase gradients = new GradientCase(trial, c, 17);
        // Signed zeros, infinities and NaN in rows without a delta are not to be touched either.
        gradients.dx.set(2, 0, -0f).set(3, 0, Float.NaN).set(5, 0, Float.POSITIVE_INFINITY);
        gradients.dw.set(5, 0, -0f);
        gradients.remember().run(gradients(executor)).checkUntouched();
      }
    }
  }

  @Test
  public final void required_T9_inputsStayAndRowsWithoutASegmentDoNotMatter() {
    try (LoraExecutor executor = learning()) {
      DeltaCase c = new DeltaCase(trial, QKV, 30, 64, new int[] {64, 32, 32}, 0);
      TYPES.forEach(type -> c.adapter(8, type));
      for (int a = 0; a < 3; a++) {
        c.segment(a);
        for (int t = a; t < 30; t += trial.between(3, 5)) {
          c.batch.add(t, 0.5f);
        }
      }
      for (int t = 0; t < 30; t++) {
        if (c.entries(0, t).isEmpty()) {
          for (int i = 0; i < 64; i++) {
            c.x.set(t, i, Float.NaN);
          }
          for (int i = 0; i < 32; i++) {
            c.y.get(1).set(t, i, Float.POSITIVE_INFINITY);
          }
        }
      }
      long revision = c.batch.revision();
      String entries = describe(c.batch);
      GradientCase gradients = new GradientCase(trial, c, 0);
      gradients.runAndCheck(gradients(executor));
      c.x.expectUnchanged("x");
      c.y.forEach(dy -> dy.expectUnchanged("dy"));
      c.adapters.forEach(MemoryAdapter::expectUnchanged);
      assertEquals(revision, c.batch.revision(), "revision of the batch");
      assertEquals(entries, describe(c.batch), "entries of the batch");
    }
  }

  @Test
  public final void required_T10_emptyBatchesAndSegmentsAreTaken() {
    try (LoraExecutor executor = learning()) {
      LoraGradients gradients = gradients(executor);
      DeltaCase none = new DeltaCase(trial, Q, 4, 16, new int[] {16}, 2);
      none.adapter(4, ElementType.F32);
      new GradientCase(trial, none, 0).runAndCheck(gradients);
      new GradientCase(trial, new DeltaCase(trial, Q, 0, 16, new int[] {16}, 2), 0)
          .runAndCheck(gradients);
      DeltaCase empty = new DeltaCase(trial, Q, 6, 16, new int[] {16}, 2);
      int first = empty.adapter(4, ElementType.F32);
      int second = empty.adapter(8, ElementType.F32);
      empty.segment(first).segment(second).segment(first).batch.add(2, 1f).add(3, 1f);
      empty.segment(second).segment(second).batch.add(5, 1f);
      empty.segment(first);
      new GradientCase(trial, empty, 0).runAndCheck(gradients);
    }
  }

  @Test
  public final void required_T10_mixturesRepeatedAdaptersAndCallsAddUp() {
    try (ThreadWorkers team = new ThreadWorkers(2);
        LoraExecutor executor = learning(team)) {
      LoraGradients gradients = gradients(executor);
      DeltaCase c = new DeltaCase(trial, Q, 12, 48, new int[] {32}, 0);
      for (int i = 0; i < 4; i++) {
        c.adapter(4 << i, ElementType.F32);
      }
      c.all(0, 0.3f).all(1, 2.5f).all(0, -1.25f).all(2, 1f).all(2, 1f).all(3, 1e-3f);
      GradientCase mixture = new GradientCase(trial, c, 0);
      mixture.runAndCheck(gradients);
      mixture.remember().runAndCheck(gradients);
      for (int round = 0; round < trial.trials(3); round++) {
        DeltaCase random = new DeltaCase(trial, QKV, 90, 32, new int[] {32, 16, 16}, 0);
        for (int i = 0; i < 5; i++) {
          random.adapter(8 * trial.between(1, 4), ElementType.F32);
        }
        new GradientCase(trial, random.randomSegments(10), 0).runAndCheck(gradients);
      }
    }
  }

  @Test
  public final void required_T10_oneMemoryTakesTheSumsOfSeveralAdapters() {
    try (ThreadWorkers team = new ThreadWorkers(2);
        LoraExecutor executor = learning(team)) {
      // The same factors under two names, with one memory for both, and once under one name.
      DeltaCase c = new DeltaCase(trial, Q, 40, 48, new int[] {32}, 0);
      int first = c.adapter(8, ElementType.F32);
      int second = c.adapter(ElementType.F32, c.factors.get(first));
      c.all(first, 0.5f).all(second, 0.25f);
      GradientCase shared = new GradientCase(trial, c, 0).zero();
      GradientCase.FactorSums one = shared.factors.get(first).getFirst();
      FactorGradients both =
          (lease, target) ->
              Optional.of(new FactorGradients.Sums(one.a().tensor(), one.b().tensor()));
      gradients(executor)
          .addGradients(
              Q,
              c.batch,
              c.x.tensor(),
              List.of(c.y.getFirst().tensor()),
              GradientSums.of(shared.dx.tensor(), both));
      List<byte[]> found = shared.bits(first);
      c.batch.reset(c.tokens);
      c.all(first, 0.5f).all(first, 0.25f);
      GradientCase alone = new GradientCase(trial, c, 0).zero();
      alone.run(gradients(executor));
      GradientCase.expectSameBits(alone.bits(first), found, "one memory for two adapters");
    }
  }

  @Test
  public final void required_T11_whatIsLeftOutChangesNothingElse() {
    try (LoraExecutor executor = learning()) {
      for (int round = 0; round < trial.trials(3); round++) {
        DeltaCase c = new DeltaCase(trial, QKV, 30, 50, new int[] {50, 18, 18}, 0);
        for (int i = 0; i < 3; i++) {
          c.adapter(trial.between(1, 20), TYPES.get(i));
        }
        c.randomSegments(6);
        GradientCase all = new GradientCase(trial, c, 0);
        List<byte[]> expected = all.run(gradients(executor)).bits();
        GradientCase frozen = likewise(all);
        frozen.freeze(1).run(gradients(executor)).checkUntouched();
        assertArrayEquals(expected.get(0), frozen.dx.rowBytes(), "dx beside a frozen adapter");
        assertArrayEquals(expected.get(1), frozen.dw.rowBytes(), "dw beside a frozen adapter");
        GradientCase.expectSameBits(all.bits(0), frozen.bits(0), "beside a frozen adapter");
        GradientCase noInput = likewise(all);
        noInput.withoutInput().run(gradients(executor)).checkUntouched();
        assertArrayEquals(expected.get(1), noInput.dw.rowBytes(), "dw without dx");
        GradientCase noWeights = likewise(all);
        noWeights.withoutWeights().run(gradients(executor)).checkUntouched();
        assertArrayEquals(expected.get(0), noWeights.dx.rowBytes(), "dx without dw");
        GradientCase inputAlone = likewise(all);
        inputAlone.withoutWeights().freeze(0).freeze(1).freeze(2);
        inputAlone.run(gradients(executor)).checkUntouched();
        assertArrayEquals(expected.get(0), inputAlone.dx.rowBytes(), "dx of frozen adapters");
        for (int a = 0; a < 3; a++) {
          GradientCase.expectSameBits(all.bits(a), noInput.bits(a), "without dx");
          GradientCase.expectSameBits(all.bits(a), noWeights.bits(a), "without dw");
        }
      }
    }
  }

  /** Returns the same case with the sums as they were. */
  private GradientCase likewise(GradientCase all) {
    GradientCase other = new GradientCase(trial, all.c, 0);
    for (int m = 0; m < all.sums().size(); m++) {
      for (int r = 0; r < all.sums().get(m).rows(); r++) {
        for (int i = 0; i < all.sums().get(m).columns(); i++) {
          other.sums().get(m).set(r, i, all.sums().get(m).remembered(r, i));
        }
      }
    }
    return other.remember();
  }
}
