package dev.lorikeet.conformance.executor;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.conformance.executor.Placed.Site;
import dev.lorikeet.conformance.setup.TensorPlacement;
import dev.lorikeet.conformance.tensor.ElementCodec;
import dev.lorikeet.conformance.tensor.GuardedMatrix;
import dev.lorikeet.conformance.tensor.MemoryAdapter;
import dev.lorikeet.conformance.tensor.MemoryAdapter.Factors;
import dev.lorikeet.conformance.tensor.MemoryAdapter.Sizes;
import dev.lorikeet.conformance.trial.Expect;
import dev.lorikeet.conformance.trial.Trial;
import dev.lorikeet.executor.LoraExecutor;
import dev.lorikeet.executor.MergePlan;
import dev.lorikeet.executor.TargetGroup;
import dev.lorikeet.shape.Projection;
import dev.lorikeet.shape.TargetModule;
import dev.lorikeet.tensor.Device;
import dev.lorikeet.tensor.ElementType;
import dev.lorikeet.tensor.Tensor;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;

/** Rules X17 to X20: switching merged weights. */
abstract class MergeRules extends SpecialNumberRules {
  private static final List<TargetModule> MODULES =
      List.of(
          TargetModule.of(0, Projection.Q),
          TargetModule.of(0, Projection.DOWN),
          TargetModule.of(3, Projection.V));

  MergeRules() {}

  /** Base weights of some modules, their merged state, and adapters to merge. */
  private final class Weights {
    final Site site;
    final ElementType type;
    final List<GuardedMatrix> pristine = new ArrayList<>();
    final List<GuardedMatrix> merged = new ArrayList<>();
    final List<MemoryAdapter> adapters = new ArrayList<>();
    final List<List<Factors>> factors = new ArrayList<>();
    final int[] in = new int[MODULES.size()];
    final int[] out = new int[MODULES.size()];

    Weights(Site site) {
      this.site = site;
      type = site.type();
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

    /** Makes a call that switches to some adapters, NaN for none, and brings the weights back. */
    void switchTo(LoraExecutor executor, float... weights) {
      try (Placed placed = new Placed(site.placement())) {
        MergePlan plan = plan(placed, weights);
        try {
          executor.switchMerged(plan);
        } finally {
          placed.fetch();
        }
      }
    }

    MergePlan plan(Placed placed, float... weights) {
      List<MergePlan.Target> targets = new ArrayList<>();
      for (int m = 0; m < MODULES.size(); m++) {
        targets.add(
            new MergePlan.Target(
                MODULES.get(m), placed.tensor(pristine.get(m)), placed.tensor(merged.get(m))));
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
                    site
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

  /** Returns the element types that it merges, and where. */
  private List<Site> merged(LoraExecutor executor) {
    List<Site> sites =
        Site.all(placement(executor)).stream()
            .filter(site -> executor.merges(site.type(), site.device()))
            .toList();
    if (sites.isEmpty()) {
      throw Trial.notApplicable("it merges no weights, as far as can be tried");
    }
    return sites;
  }

  @Test
  public final void required_X17_mergedWeightsArePristineOnesPlusDeltasRoundedOnce() {
    try (LoraExecutor executor = open()) {
      for (Site site : merged(executor)) {
        for (int round = 0; round < trial.trials(2); round++) {
          Weights w = new Weights(site);
          w.switchTo(executor, 1f);
          w.check(1f);
          w.switchTo(executor, 0.5f, -2f, 0.125f);
          w.check(0.5f, -2f, 0.125f);
          w.switchTo(executor, Float.NaN, 3f);
          w.check(Float.NaN, 3f);
        }
      }
    }
  }

  @Test
  public final void required_X17_mergingRunsOnAnyNumberOfWorkers() {
    for (int shards : new int[] {2, 5}) {
      try (ThreadWorkers team = new ThreadWorkers(shards);
          LoraExecutor executor = createExecutor(team)) {
        for (Site site : merged(executor)) {
          Weights w = new Weights(site);
          w.switchTo(executor, 1f, 1f, 1f);
          w.check(1f, 1f, 1f);
        }
      }
    }
  }

  @Test
  public final void required_X18_switchingBackRestoresPristineBits() {
    try (LoraExecutor executor = open()) {
      for (Site site : merged(executor)) {
        Weights w = new Weights(site);
        for (int i = 0; i < trial.trials(20); i++) {
          w.switchTo(executor, trial.between(-3, 3), trial.between(-3, 3), trial.between(-3, 3));
        }
        w.switchTo(executor, 1f, 0.5f);
        w.check(1f, 0.5f);
        w.switchTo(executor);
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
      for (Site site : merged(executor)) {
        Weights w = new Weights(site);
        float[] weights = {0.5f, 1.5f, -1f};
        w.switchTo(executor, weights);
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
      List<Site> refused =
          Site.all(placement(executor)).stream()
              .filter(site -> !executor.merges(site.type(), site.device()))
              .toList();
      if (refused.isEmpty()) {
        throw Trial.notApplicable("it merges weights of every type wherever they can be put");
      }
      for (Site site : refused) {
        Weights w = new Weights(site);
        assertThrows(
            UnsupportedOperationException.class,
            () -> w.switchTo(executor, 1f),
            () -> "switchMerged of " + site + " weights");
        w.merged.forEach(m -> m.expectUnchanged("merged weights"));
        w.pristine.forEach(m -> m.expectUnchanged("pristine weights"));
      }
    }
  }

  @Test
  public final void required_X20_weightsOnAStrangeDeviceAreRefusedAndNothingIsWritten() {
    try (LoraExecutor executor = open()) {
      Device nowhere = new Device("nowhere", 7);
      for (ElementType type : TYPES) {
        if (executor.merges(type, nowhere)) {
          throw Trial.notApplicable("it merges weights on any device");
        }
        Weights w = new Weights(new Site(type, Optional.empty()));
        try (Placed placed = new Placed(Optional.empty())) {
          MergePlan here = w.plan(placed, 1f);
          List<MergePlan.Target> there =
              here.targets().stream()
                  .map(
                      t ->
                          new MergePlan.Target(
                              t.module(), on(t.pristine(), nowhere), on(t.merged(), nowhere)))
                  .toList();
          RuntimeException refusal =
              assertThrows(
                  RuntimeException.class,
                  () -> executor.switchMerged(new MergePlan(there, here.mixture())),
                  () -> "switchMerged of " + type + " weights on " + nowhere);
          assertTrue(
              refusal instanceof UnsupportedOperationException
                  || refusal instanceof IllegalArgumentException,
              () -> "refusal of weights on a strange device: found " + refusal);
        }
        w.merged.forEach(m -> m.expectUnchanged("merged weights"));
      }
    }
  }

  /** Returns a tensor that is said to live on a device. */
  static Tensor on(Tensor t, Device device) {
    return new Tensor(t.segment(), t.type(), t.rows(), t.columns(), t.rowStride(), device);
  }

  @Test
  public final void required_X16_switchingWithAClosedLeaseOrExecutorWritesNothing() {
    LoraExecutor executor = open();
    Optional<TensorPlacement> placement = merged(executor).getFirst().placement();
    Weights w = new Weights(merged(executor).getFirst());
    try (Placed placed = new Placed(placement)) {
      MergePlan plan = w.plan(placed, 1f, 1f);
      MergePlan other = new MergePlan(plan.targets(), plan.mixture().subList(0, 1));
      w.adapters.get(1).close();
      Expect.closed("switchMerged with a closed lease", () -> executor.switchMerged(plan));
      placed.fetch();
      w.merged.forEach(m -> m.expectUnchanged("merged weights"));
      executor.close();
      Expect.closed("switchMerged of a closed executor", () -> executor.switchMerged(other));
      w.merged.forEach(m -> m.expectUnchanged("merged weights"));
    }
  }
}
