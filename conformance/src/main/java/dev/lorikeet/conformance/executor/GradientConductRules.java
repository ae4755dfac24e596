package dev.lorikeet.conformance.executor;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.conformance.tensor.GuardedMatrix;
import dev.lorikeet.conformance.trial.Expect;
import dev.lorikeet.conformance.trial.Trial;
import dev.lorikeet.executor.FactorGradients;
import dev.lorikeet.executor.GradientSums;
import dev.lorikeet.executor.LoraBatch;
import dev.lorikeet.executor.LoraExecutor;
import dev.lorikeet.executor.LoraGradients;
import dev.lorikeet.executor.TargetGroup;
import dev.lorikeet.shape.Projection;
import dev.lorikeet.tensor.Device;
import dev.lorikeet.tensor.ElementType;
import dev.lorikeet.tensor.Tensor;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;
import org.junit.jupiter.api.Test;

/** Rules T12 to T18: independence, special numbers, refusals, threads and closing. */
public abstract class GradientConductRules extends GradientShapeRules {
  protected GradientConductRules() {}

  @Test
  public final void required_T12_anAdapterLearnsTheSameAloneAndInCompany() {
    try (ThreadWorkers team = new ThreadWorkers(2);
        LoraExecutor executor = learning(team)) {
      for (int round = 0; round < trial.trials(4); round++) {
        DeltaCase c = company();
        List<Integer> everybody = List.of(0, 1, 2, 3);
        GradientCase together = new GradientCase(trial, c, 0).zero().run(gradients(executor));
        for (int a = 0; a < 4; a++) {
          DeltaCase moved = moved(c, everybody.subList(a, a + 1), trial.between(0, 70));
          GradientCase alone = new GradientCase(trial, moved, 0).zero();
          alone.run(gradients(executor));
          GradientCase.expectSameBits(together.bits(a), alone.bits(a), "adapter " + a + " alone");
        }
        GradientCase elsewhere =
            new GradientCase(trial, moved(c, everybody, trial.between(1, 70)), 0).zero();
        elsewhere.run(gradients(executor));
        for (int a = 0; a < 4; a++) {
          GradientCase.expectSameBits(
              together.bits(a), elsewhere.bits(a), "adapter " + a + " elsewhere in the batch");
        }
        assertEquals(rows(together), rows(elsewhere), "bits of the rows of dx elsewhere");
        assertEquals(weights(together), weights(elsewhere), "bits of dw elsewhere");
      }
    }
  }

  private DeltaCase company() {
    DeltaCase c =
        new DeltaCase(
            trial, QKV, trial.between(4, 200), trial.between(1, 70), new int[] {48, 19, 19}, 0);
    for (int i = 0; i < 4; i++) {
      c.adapter(trial.between(1, 24), TYPES.get(i % 3));
    }
    return trial.random().nextBoolean() ? c.disjointSegments() : c.randomSegments(9);
  }

  /** Returns a case with some of the adapters alone, and other tokens between theirs. */
  private DeltaCase moved(DeltaCase c, List<Integer> adapters, int more) {
    int[] places =
        trial.random().ints(0, c.tokens + more).distinct().limit(c.tokens).sorted().toArray();
    DeltaCase moved =
        new DeltaCase(trial, c.group, c.tokens + more, c.in, c.outs, trial.between(0, 9));
    for (int t = 0; t < c.tokens; t++) {
      copyRow(c.x, t, moved.x, places[t]);
      for (int m = 0; m < c.outs.length; m++) {
        copyRow(c.y.get(m), t, moved.y.get(m), places[t]);
      }
    }
    moved.adapters.addAll(c.adapters);
    moved.factors.addAll(c.factors);
    for (int s = 0; s < c.batch.segments(); s++) {
      int adapter = c.adapters.indexOf(c.batch.adapter(s));
      if (adapters.contains(adapter)) {
        moved.segment(adapter);
        for (int e = c.batch.segmentStart(s); e < c.batch.segmentEnd(s); e++) {
          moved.batch.add(places[c.batch.token(e)], c.batch.weight(e));
        }
      }
    }
    return moved;
  }

  private static void copyRow(GuardedMatrix from, int row, GuardedMatrix to, int place) {
    for (int i = 0; i < from.columns(); i++) {
      to.set(place, i, from.get(row, i));
    }
  }

  /** Returns the rows of dx that have entries, in order. */
  private static List<String> rows(GradientCase gradients) {
    Set<Integer> tokens = new TreeSet<>();
    for (int e = 0; e < gradients.c.batch.entries(); e++) {
      tokens.add(gradients.c.batch.token(e));
    }
    List<String> rows = new ArrayList<>();
    for (int t : tokens) {
      rows.add(row(gradients.dx, t));
    }
    return rows;
  }

  private static List<String> weights(GradientCase gradients) {
    List<String> rows = new ArrayList<>();
    for (int e = 0; e < gradients.dw.rows(); e++) {
      rows.add(row(gradients.dw, e));
    }
    return rows;
  }

  private static String row(GuardedMatrix matrix, int row) {
    int[] bits = new int[matrix.columns()];
    for (int i = 0; i < bits.length; i++) {
      bits[i] = Float.floatToRawIntBits(matrix.get(row, i));
    }
    return Arrays.toString(bits);
  }

  @Test
  public final void required_T12_theDxOfATokenIsTheSameWithItsOwnAdaptersAlone() {
    try (LoraExecutor executor = learning()) {
      for (int round = 0; round < trial.trials(2); round++) {
        DeltaCase c = new DeltaCase(trial, Q, 24, 50, new int[] {33}, 0);
        for (int i = 0; i < 4; i++) {
          c.adapter(8 * trial.between(1, 4), ElementType.F32);
        }
        c.randomSegments(7);
        GradientCase together = new GradientCase(trial, c, 0).zero().run(gradients(executor));
        for (int t = 0; t < 24; t++) {
          DeltaCase one = new DeltaCase(trial, Q, 1, 50, new int[] {33}, 0);
          copyRow(c.x, t, one.x, 0);
          copyRow(c.y.getFirst(), t, one.y.getFirst(), 0);
          one.adapters.addAll(c.adapters);
          one.factors.addAll(c.factors);
          List<String> expected = new ArrayList<>();
          for (int s = 0; s < c.batch.segments(); s++) {
            for (int e = c.batch.segmentStart(s); e < c.batch.segmentEnd(s); e++) {
              if (c.batch.token(e) == t) {
                one.segment(c.adapters.indexOf(c.batch.adapter(s))).batch.add(0, c.batch.weight(e));
                expected.add(row(together.dw, e));
              }
            }
          }
          GradientCase alone = new GradientCase(trial, one, 0).zero().run(gradients(executor));
          assertEquals(row(together.dx, t), row(alone.dx, 0), "bits of dx of token " + t);
          assertEquals(expected, weights(alone), "bits of dw of token " + t);
        }
      }
    }
  }

  @Test
  public final void required_T13_anyWorkersAndAnyThreadGiveTheSameBits() {
    DeltaCase c = new DeltaCase(trial, QKV, 100, 70, new int[] {64, 33, 33}, 0);
    for (int i = 0; i < 4; i++) {
      c.adapter(8 * trial.between(1, 4), ElementType.F32);
    }
    GradientCase gradients = new GradientCase(trial, c.randomSegments(9), 0);
    List<byte[]> first = List.of();
    for (int workers : new int[] {1, 2, 3, 7}) {
      try (ThreadWorkers team = new ThreadWorkers(workers);
          LoraExecutor executor = learning(team)) {
        for (int run = 0; run < trial.trials(3); run++) {
          FutureTask<List<byte[]>> call =
              new FutureTask<>(() -> gradients.restore().run(gradients(executor)).bits());
          if (run == 1) {
            Thread.ofPlatform().start(call);
          } else {
            call.run();
          }
          List<byte[]> bits = call.get();
          first = first.isEmpty() ? bits : first;
          GradientCase.expectSameBits(first, bits, workers + " workers, run " + run);
        }
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
        throw new AssertionError(e);
      } catch (ExecutionException e) {
        throw new AssertionError(e.getCause());
      }
    }
    gradients.check();
  }

  @Test
  public final void required_T14_nanStaysWithItsTokenAndItsAdapter() {
    try (LoraExecutor executor = learning()) {
      for (int round = 0; round < trial.trials(4); round++) {
        int tokens = trial.between(4, 40);
        DeltaCase c = new DeltaCase(trial, Q, tokens, 48, new int[] {32}, 0);
        int sick = c.adapter(8, ElementType.F32);
        int sound = c.adapter(8, ElementType.F32);
        c.segment(sick);
        for (int t = 0; t < tokens / 2; t++) {
          c.batch.add(t, 1f);
        }
        c.segment(sound);
        for (int t = tokens / 2; t < tokens; t++) {
          c.batch.add(t, 1f);
        }
        boolean input = round % 2 == 0;
        (input ? c.x : c.y.getFirst()).set(1, 5, Float.NaN);
        GradientCase gradients = new GradientCase(trial, c, 0).run(gradients(executor));
        gradients.checkFactors(sound);
        GradientCase.FactorSums sums = gradients.factors.get(sick).getFirst();
        for (int r = 0; r < 8; r++) {
          for (int i = 0; i < 48; i++) {
            boolean nan = !input || i == 5;
            assertEquals(nan, Float.isNaN(sums.a().get(r, i)), "gradient of A, column " + i);
          }
          for (int o = 0; o < 32; o++) {
            boolean nan = input || o == 5;
            assertEquals(nan, Float.isNaN(sums.b().get(o, r)), "gradient of B, row " + o);
          }
        }
        for (int t = 0; t < tokens; t++) {
          for (int i = 0; i < 48; i++) {
            boolean nan = !input && t == 1;
            assertEquals(nan, Float.isNaN(gradients.dx.get(t, i)), "dx of token " + t);
          }
          assertEquals(t == 1, Float.isNaN(gradients.dw.get(t, 0)), "dw of token " + t);
        }
      }
    }
  }

  @Test
  public final void required_T14_aWeightOfZeroAddsZeroTimesTheGradient() {
    try (LoraExecutor executor = learning()) {
      DeltaCase c = new DeltaCase(trial, Q, 6, 32, new int[] {32}, 0);
      int adapter = c.adapter(8, ElementType.F32);
      c.segment(adapter).batch.add(1, -0f).add(2, 0f).add(5, 1f);
      GradientCase finite = new GradientCase(trial, c, 0);
      finite.runAndCheck(gradients(executor));
      c.x.set(2, 7, Float.NEGATIVE_INFINITY);
      GradientCase infinite = new GradientCase(trial, c, 0).run(gradients(executor));
      GradientCase.FactorSums sums = infinite.factors.get(adapter).getFirst();
      for (int r = 0; r < 8; r++) {
        assertTrue(Float.isNaN(sums.a().get(r, 7)), "zero times infinity, gradient of A");
        assertTrue(Float.isFinite(sums.a().get(r, 8)), "gradient of A beside it");
        assertTrue(Float.isNaN(sums.b().get(3, r)), "zero times infinity, gradient of B");
      }
      infinite.checkInputs();
    }
  }

  /** A call that does not fit, and what the refusal must say. */
  private record Misfit(
      String what,
      TargetGroup group,
      Tensor x,
      List<Tensor> dy,
      GradientSums sums,
      List<String> says) {}

  @Test
  public final void required_T15_whatDoesNotFitIsRefusedByNameAndWritesNothing() {
    try (LoraExecutor executor = learning()) {
      DeltaCase c = new DeltaCase(trial, QKV, 5, 32, new int[] {32, 16, 16}, 0);
      c.all(c.adapter(4, ElementType.F32), 1f);
      c.all(c.adapter(4, ElementType.BF16), 1f);
      GradientCase gradients = new GradientCase(trial, c, 0);
      for (Misfit misfit : misfits(gradients, gradients(executor))) {
        IllegalArgumentException refusal =
            assertThrows(
                IllegalArgumentException.class,
                () ->
                    gradients(executor)
                        .addGradients(misfit.group, c.batch, misfit.x, misfit.dy, misfit.sums),
                misfit.what);
        Expect.message(refusal, misfit.says.toArray(String[]::new));
        gradients.sums().forEach(sum -> sum.expectUnchanged("sums after " + misfit.what));
      }
    }
  }

  private List<Misfit> misfits(GradientCase g, LoraGradients gradients) {
    List<Misfit> misfits = new ArrayList<>();
    Tensor x = g.c.x.tensor();
    List<Tensor> dy = g.c.outputs();
    GradientSums sums = g.hostSums();
    Tensor dx = g.dx.tensor();
    Tensor dw = g.dw.tensor();
    misfits.add(misfit("x too narrow", columns(x, 31), dy, sums, "x", "32", "31"));
    misfits.add(misfit("x too short", rows(x, 4), dy, sums, "x", "5", "4"));
    List<Tensor> narrow = with(dy, columns(dy.get(1), 15));
    misfits.add(misfit("dy too narrow", x, narrow, sums, "16", "15"));
    misfits.add(misfit("dy too short", x, with(dy, rows(dy.get(1), 3)), sums, "dy", "5", "3"));
    misfits.add(misfit("a gradient too few", x, dy.subList(0, 2), sums, "dy", "3", "2"));
    TargetGroup qk = TargetGroup.of(1, Projection.Q, Projection.K);
    misfits.add(new Misfit("a gradient too many", qk, x, dy, sums, List.of("dy", "2", "3")));
    GradientSums narrowInput = GradientSums.of(columns(dx, 31), sums.factors());
    misfits.add(misfit("dx too narrow", x, dy, narrowInput, "dx", "32", "31"));
    GradientSums shortInput = GradientSums.of(rows(dx, 4), sums.factors());
    misfits.add(misfit("dx too short", x, dy, shortInput, "dx", "5", "4"));
    misfits.add(misfit("dw too short", x, dy, sums.withWeights(rows(dw, 9)), "dw", "10", "9"));
    Tensor wide = new Tensor(dw.segment(), ElementType.F32, 10, 2, 2, Device.HOST);
    misfits.add(misfit("dw too wide", x, dy, sums.withWeights(wide), "dw", "1", "2"));
    FactorGradients.Sums k = sums.factors().of(g.c.adapters.get(1), QKV.targets().get(1)).get();
    List<FactorGradients.Sums> wrong =
        List.of(
            new FactorGradients.Sums(columns(k.a(), 31), k.b()),
            new FactorGradients.Sums(rows(k.a(), 3), k.b()),
            new FactorGradients.Sums(k.a(), rows(k.b(), 15)),
            new FactorGradients.Sums(k.a(), columns(k.b(), 3)));
    List<List<String>> says =
        List.of(List.of("32", "31"), List.of("4", "3"), List.of("16", "15"), List.of("4", "3"));
    for (int i = 0; i < wrong.size(); i++) {
      String[] words = says.get(i).toArray(String[]::new);
      misfits.add(misfit("gradients of another shape", x, dy, with(g, sums, wrong.get(i)), words));
    }
    for (ElementType type : List.of(ElementType.BF16, ElementType.F16)) {
      if (!gradients.takesActivations(type, Device.HOST)) {
        misfits.add(misfit("x of " + type, as(x, type), dy, sums, "x", type.name()));
        List<Tensor> narrower = with(dy, as(dy.get(1), type));
        misfits.add(misfit("dy of " + type, x, narrower, sums, "dy", type.name()));
        GradientSums input = GradientSums.of(as(dx, type), sums.factors());
        misfits.add(misfit("dx of " + type, x, dy, input, "dx", type.name()));
      }
    }
    if (!gradients.takesActivations(ElementType.F32, NOWHERE)) {
      misfits.add(misfit("x on a strange device", on(x, NOWHERE), dy, sums, "x", "nowhere"));
      List<Tensor> away = with(dy, on(dy.get(1), NOWHERE));
      misfits.add(misfit("dy on a strange device", x, away, sums, "dy", "nowhere"));
      GradientSums input = GradientSums.of(on(dx, NOWHERE), sums.factors());
      misfits.add(misfit("dx on a strange device", x, dy, input, "dx", "nowhere"));
      FactorGradients.Sums strange = new FactorGradients.Sums(k.a(), on(k.b(), NOWHERE));
      misfits.add(
          misfit("gradients on a strange device", x, dy, with(g, sums, strange), "nowhere"));
    }
    return misfits;
  }

  private static Misfit misfit(
      String what, Tensor x, List<Tensor> dy, GradientSums sums, String... says) {
    return new Misfit(what, QKV, x, dy, sums, List.of(says));
  }

  /**
   * Puts gradients in the place of the second adapter's second, so that others could be written.
   */
  private static GradientSums with(
      GradientCase g, GradientSums sums, FactorGradients.Sums gradients) {
    return new GradientSums(
        sums.dx(),
        (lease, target) ->
            lease == g.c.adapters.get(1) && target.equals(QKV.targets().get(1))
                ? Optional.of(gradients)
                : sums.factors().of(lease, target),
        sums.weights());
  }

  @Test
  public final void required_T16_theSameEveryTimeUntilClosed() {
    LoraExecutor executor = open();
    LoraGradients gradients = gradients(executor);
    assertSame(gradients, executor.gradients().orElseThrow(), "gradients, the second time");
    DeltaCase c = new DeltaCase(trial, QKV, 6, 32, new int[] {32, 16, 16}, 0);
    c.all(c.adapter(4, ElementType.F32), 1f).all(c.adapter(4, ElementType.F32), 1f);
    GradientCase g = new GradientCase(trial, c, 0);
    g.run(gradients).restore();
    c.adapters.get(1).close();
    Expect.closed("addGradients with a closed lease", () -> g.run(gradients));
    g.sums().forEach(sum -> sum.expectUnchanged("sums after a refusal"));
    GradientCase open = plainGradients();
    executor.close();
    Expect.closed("addGradients", () -> open.run(gradients));
    open.sums().forEach(sum -> sum.expectUnchanged("sums after a refusal"));
  }

  @Test
  public final void required_T17_gradientsRunOnTheLentWorkers() {
    try (ThreadWorkers team = new ThreadWorkers(2)) {
      Set<Thread> before = new HashSet<>(Thread.getAllStackTraces().keySet());
      try (LoraExecutor executor = createExecutor(team)) {
        LoraGradients gradients = gradients(executor);
        if (!executor.device().isHost()) {
          throw Trial.notApplicable("it computes on " + executor.device());
        }
        DeltaCase c = new DeltaCase(trial, Q, 300, 128, new int[] {128}, 0);
        c.all(c.adapter(32, ElementType.F32), 1f);
        new GradientCase(trial, c, 0).run(gradients);
        expectNoOtherThreads(team, before);
      }
    }
  }

  @Test
  public final void required_T17_deltasAndGradientsTakeTurns() {
    try (ThreadWorkers team = new ThreadWorkers(3);
        LoraExecutor executor = learning(team)) {
      for (int round = 0; round < trial.trials(4); round++) {
        DeltaCase c = new DeltaCase(trial, QKV, 64, 48, new int[] {48, 16, 16}, 0);
        for (int i = 0; i < 3; i++) {
          c.adapter(8 * trial.between(1, 3), ElementType.F32);
        }
        c.disjointSegments().runAndCheck(executor);
        new GradientCase(trial, c, 0).runAndCheck(gradients(executor));
        c.remember().runAndCheck(executor);
      }
    }
  }

  @Test
  public final void required_T18_aGroupGivesWhatItsModulesGiveOneByOne() {
    try (LoraExecutor executor = learning()) {
      for (int round = 0; round < trial.trials(2); round++) {
        DeltaCase c = new DeltaCase(trial, QKV, 17, 48, new int[] {48, 16, 16}, 0);
        c.adapter(8, ElementType.F32);
        c.adapter(ElementType.F32, List.of(factors(c, 1, 8, ElementType.F32)));
        c.adapter(
            ElementType.F32,
            List.of(factors(c, 0, 16, ElementType.F32), factors(c, 2, 8, ElementType.F32)));
        GradientCase g = new GradientCase(trial, c.randomSegments(6), 0).exactly();
        g.runAndCheck(gradients(executor));
        g.restore();
        GradientSums sums = g.hostSums();
        for (int m = 0; m < 3; m++) {
          TargetGroup single = TargetGroup.of(1, QKV.projections().get(m));
          LoraBatch batch = c.batch;
          List<Tensor> dy = List.of(c.y.get(m).tensor());
          gradients(executor).addGradients(single, batch, c.x.tensor(), dy, sums);
        }
        g.check();
      }
    }
  }
}
