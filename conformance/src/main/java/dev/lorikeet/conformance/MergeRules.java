package dev.lorikeet.conformance;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.adapter.Projection;
import dev.lorikeet.adapter.TargetModule;
import dev.lorikeet.conformance.MemoryAdapter.Factors;
import dev.lorikeet.conformance.MemoryAdapter.Sizes;
import dev.lorikeet.executor.LoraExecutor;
import dev.lorikeet.executor.MergePlan;
import dev.lorikeet.executor.TargetGroup;
import dev.lorikeet.tensor.Device;
import dev.lorikeet.tensor.ElementType;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

/** Rules X17 to X20: switching merged weights. */
abstract class MergeRules extends SpecialNumberRules {
  private static final List<TargetModule> MODULES =
      List.of(
          new TargetModule(0, Projection.Q),
          new TargetModule(0, Projection.DOWN),
          new TargetModule(3, Projection.V));

  MergeRules() {}

  /** Base weights of some modules, their merged state, and adapters to merge. */
  private final class Weights {
    final ElementType type;
    final List<GuardedMatrix> pristine = new ArrayList<>();
    final List<GuardedMatrix> merged = new ArrayList<>();
    final List<MemoryAdapter> adapters = new ArrayList<>();
    final List<List<Factors>> factors = new ArrayList<>();
    final int[] in = new int[MODULES.size()];
    final int[] out = new int[MODULES.size()];

    Weights(ElementType type) {
      this.type = type;
      for (int m = 0; m < MODULES.size(); m++) {
        in[m] = trial.between(1, 60);
        out[m] = trial.between(1, 60);
        GuardedMatrix w = new GuardedMatrix(type, out[m], in[m], m, m);
        for (int o = 0; o < out[m]; o++) {
          for (int i = 0; i < in[m]; i++) {
            w.set(o, i, (float) trial.random().nextGaussian());
          }
        }
        pristine.add(w.remember());
        merged.add(new GuardedMatrix(type, out[m], in[m], 3, 1).remember());
      }
      // The second adapter leaves the last module alone.
      adapter(ElementType.F32, trial.between(1, 16), 3);
      adapter(ElementType.BF16, trial.between(1, 16), 2);
      adapter(ElementType.F16, trial.between(1, 64), 3);
    }

    private void adapter(ElementType weightType, int rank, int modules) {
      List<Factors> list = new ArrayList<>();
      for (int m = 0; m < modules; m++) {
        list.add(
            Factors.random(
                Sizes.dense(MODULES.get(m), rank, in[m], out[m]),
                0.75f,
                weightType,
                DeltaCase.NORMAL,
                trial.random()));
      }
      factors.add(list);
      adapters.add(MemoryAdapter.of("merged-" + adapters.size(), weightType, list, trial.random()));
    }

    MergePlan plan(float... weights) {
      List<MergePlan.Target> targets = new ArrayList<>();
      for (int m = 0; m < MODULES.size(); m++) {
        targets.add(
            new MergePlan.Target(MODULES.get(m), pristine.get(m).tensor(), merged.get(m).tensor()));
      }
      List<MergePlan.Share> shares = new ArrayList<>();
      for (int a = 0; a < weights.length; a++) {
        if (!Float.isNaN(weights[a])) {
          shares.add(new MergePlan.Share(adapters.get(a), weights[a]));
        }
      }
      return new MergePlan(targets, shares);
    }

    /** Returns the exact merged element and its tolerance before rounding to the type. */
    double[] exact(int module, int o, int i, float... weights) {
      double value = pristine.get(module).get(o, i);
      double magnitude = Math.abs(value);
      int rank = 0;
      int adapters = 0;
      for (int a = 0; a < weights.length; a++) {
        if (!Float.isNaN(weights[a]) && module < factors.get(a).size()) {
          Factors f = factors.get(a).get(module);
          rank = Math.max(rank, f.rank());
          adapters++;
          for (int r = 0; r < f.rank(); r++) {
            double product = (double) weights[a] * f.scaling() * f.b()[r][o] * f.a()[r][i];
            value += product;
            magnitude += Math.abs(product);
          }
        }
      }
      double tolerance = 4.0 * (rank + adapters + 4) * 0x1p-24 * magnitude;
      return new double[] {value, tolerance};
    }

    void check(float... weights) {
      for (int m = 0; m < MODULES.size(); m++) {
        merged.get(m).expectSurroundingsUnchanged("merged weights");
        boolean changed = false;
        for (int a = 0; a < weights.length; a++) {
          changed |= !Float.isNaN(weights[a]) && m < factors.get(a).size();
        }
        if (!changed) {
          expectPristine(m);
          continue;
        }
        for (int o = 0; o < out[m]; o++) {
          for (int i = 0; i < in[m]; i++) {
            double[] exact = exact(m, o, i, weights);
            double tolerance =
                exact[1] * (1 + ElementCodec.unitRoundoff(type))
                    + ElementCodec.unitRoundoff(type) * Math.abs(exact[0])
                    + ElementCodec.underflow(type);
            double found = merged.get(m).get(o, i);
            double error = Math.abs(found - exact[0]) / tolerance;
            assertTrue(
                error <= 1,
                () ->
                    type
                        + " merged weight: expected "
                        + exact[0]
                        + " within "
                        + tolerance
                        + ", found "
                        + found);
            trial.error(error);
          }
        }
      }
      adapters.forEach(MemoryAdapter::expectUnchanged);
    }

    void expectPristine(int module) {
      assertArrayEquals(
          pristine.get(module).rowBytes(),
          merged.get(module).rowBytes(),
          () -> "bits of merged " + MODULES.get(module) + " that no adapter changes");
    }
  }

  private List<ElementType> mergedTypes(LoraExecutor executor) {
    List<ElementType> types =
        TYPES.stream().filter(type -> executor.merges(type, Device.HOST)).toList();
    if (types.isEmpty()) {
      throw Trial.notApplicable("it merges no weights in host memory");
    }
    return types;
  }

  @Test
  public final void required_X17_mergedWeightsArePristineOnesPlusDeltasRoundedOnce() {
    try (LoraExecutor executor = open()) {
      for (ElementType type : mergedTypes(executor)) {
        for (int round = 0; round < trial.trials(2); round++) {
          Weights w = new Weights(type);
          executor.switchMerged(w.plan(1f));
          w.check(1f);
          executor.switchMerged(w.plan(0.5f, -2f, 0.125f));
          w.check(0.5f, -2f, 0.125f);
          executor.switchMerged(w.plan(Float.NaN, 3f));
          w.check(Float.NaN, 3f);
        }
      }
    }
  }

  @Test
  public final void required_X17_mergingRunsOnAnyNumberOfWorkers() {
    for (int shards : new int[] {2, 5}) {
      try (ThreadWorkers team = new ThreadWorkers(shards);
          LoraExecutor executor = open(team)) {
        for (ElementType type : mergedTypes(executor)) {
          Weights w = new Weights(type);
          executor.switchMerged(w.plan(1f, 1f, 1f));
          w.check(1f, 1f, 1f);
        }
      }
    }
  }

  @Test
  public final void required_X18_switchingBackRestoresPristineBits() {
    try (LoraExecutor executor = open()) {
      for (ElementType type : mergedTypes(executor)) {
        Weights w = new Weights(type);
        for (int i = 0; i < trial.trials(20); i++) {
          executor.switchMerged(
              w.plan(trial.between(-3, 3), trial.between(-3, 3), trial.between(-3, 3)));
        }
        executor.switchMerged(w.plan(1f, 0.5f));
        w.check(1f, 0.5f);
        executor.switchMerged(w.plan());
        for (int m = 0; m < MODULES.size(); m++) {
          w.pristine.get(m).expectUnchanged("pristine weights");
          w.expectPristine(m);
        }
      }
    }
  }

  @Test
  public final void required_X19_productsWithMergedWeightsEqualBasePlusDeltas() {
    try (LoraExecutor executor = sound()) {
      for (ElementType type : mergedTypes(executor)) {
        Weights w = new Weights(type);
        float[] weights = {0.5f, 1.5f, -1f};
        executor.switchMerged(w.plan(weights));
        for (int m = 0; m < MODULES.size(); m++) {
          DeltaCase c =
              new DeltaCase(
                  trial,
                  TargetGroup.of(MODULES.get(m).layer(), MODULES.get(m).projection()),
                  4,
                  w.in[m],
                  new int[] {w.out[m]},
                  0);
          compareProducts(executor, w, m, weights, c);
        }
      }
    }
  }

  private void compareProducts(
      LoraExecutor executor, Weights w, int module, float[] weights, DeltaCase c) {
    for (int t = 0; t < c.tokens; t++) {
      for (int o = 0; o < w.out[module]; o++) {
        c.y.getFirst().set(t, o, 0f);
      }
    }
    for (int a = 0; a < weights.length; a++) {
      c.adapters.add(w.adapters.get(a));
      c.factors.add(w.factors.get(a));
      c.all(a, weights[a]);
    }
    c.remember().run(executor);
    for (int t = 0; t < c.tokens; t++) {
      DeltaCase.Row delta = c.exact(0, t);
      for (int o = 0; o < w.out[module]; o++) {
        double difference = -c.y.getFirst().get(t, o);
        double tolerance = delta.tolerance()[o];
        for (int i = 0; i < w.in[module]; i++) {
          double x = c.x.remembered(t, i);
          double[] exact = w.exact(module, o, i, weights);
          difference +=
              x * ((double) w.merged.get(module).get(o, i) - w.pristine.get(module).get(o, i));
          tolerance +=
              Math.abs(x)
                  * (exact[1] * (1 + ElementCodec.unitRoundoff(w.type))
                      + ElementCodec.unitRoundoff(w.type) * Math.abs(exact[0])
                      + ElementCodec.underflow(w.type));
        }
        double error = Math.abs(difference) / tolerance;
        assertTrue(
            error <= 1, "merged product and base plus delta differ: " + error + " tolerances");
        trial.error(error);
      }
    }
  }

  @Test
  public final void required_X20_whatIsNotMergedIsRefusedAndNothingIsWritten() {
    try (LoraExecutor executor = open()) {
      List<ElementType> refused =
          TYPES.stream().filter(type -> !executor.merges(type, Device.HOST)).toList();
      if (refused.isEmpty()) {
        throw Trial.notApplicable("it merges weights of every type");
      }
      for (ElementType type : refused) {
        Weights w = new Weights(type);
        assertThrows(
            UnsupportedOperationException.class,
            () -> executor.switchMerged(w.plan(1f)),
            () -> "switchMerged of " + type + " weights");
        w.merged.forEach(m -> m.expectUnchanged("merged weights"));
        w.pristine.forEach(m -> m.expectUnchanged("pristine weights"));
      }
    }
  }

  @Test
  public final void required_X16_switchingWithAClosedLeaseOrExecutorWritesNothing() {
    LoraExecutor executor = open();
    List<ElementType> types = mergedTypes(executor);
    Weights w = new Weights(types.getFirst());
    MergePlan plan = w.plan(1f, 1f);
    w.adapters.get(1).close();
    Expect.closed("switchMerged with a closed lease", () -> executor.switchMerged(plan));
    w.merged.forEach(m -> m.expectUnchanged("merged weights"));
    executor.close();
    Expect.closed("switchMerged of a closed executor", () -> executor.switchMerged(w.plan(1f)));
    w.merged.forEach(m -> m.expectUnchanged("merged weights"));
  }
}
