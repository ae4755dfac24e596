package dev.lorikeet.conformance.executor;

import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.conformance.tensor.GuardedMatrix;
import dev.lorikeet.conformance.tensor.MemoryAdapter;
import dev.lorikeet.conformance.tensor.MemoryAdapter.Factors;
import dev.lorikeet.conformance.tensor.MemoryAdapter.Sizes;
import dev.lorikeet.conformance.trial.Trial;
import dev.lorikeet.executor.LoraBatch;
import dev.lorikeet.executor.LoraExecutor;
import dev.lorikeet.executor.LoraGradients;
import dev.lorikeet.executor.Workers;
import dev.lorikeet.tensor.ElementType;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.opentest4j.TestAbortedException;

/** Rules T1 to T5: what {@code addGradients} adds. */
abstract class GradientRules extends ExecutorRules {
  GradientRules() {}

  /** Returns the gradients under test; not applicable where none are offered. */
  static LoraGradients gradients(LoraExecutor executor) {
    return executor
        .gradients()
        .orElseThrow(() -> Trial.notApplicable("it offers no gradients, so it serves only"));
  }

  /** Opens an executor whose gradients are right where nothing is special; else T1 to T3 tell. */
  final LoraExecutor learning() {
    return learning(Workers.SINGLE);
  }

  /** Opens an executor on these workers, likewise. */
  final LoraExecutor learning(Workers workers) {
    LoraExecutor executor = createExecutor(workers);
    try (LoraExecutor alone = open()) {
      gradients(executor);
      plainGradients().runAndCheck(gradients(alone));
    } catch (TestAbortedException e) {
      executor.close();
      throw e;
    } catch (RuntimeException | AssertionError e) {
      executor.close();
      throw Trial.notApplicable("T1 to T3 have more to say: " + e.getMessage());
    }
    return executor;
  }

  /** Returns a case in which nothing is special. */
  final GradientCase plainGradients() {
    DeltaCase c = new DeltaCase(trial, QKV, 4, 16, new int[] {32, 16, 16}, 0);
    c.all(c.adapter(8, ElementType.F32), 2f);
    return new GradientCase(trial, c, 0);
  }

  /** Returns a case of some adapters that share no token. */
  private GradientCase ordinaryGradients() {
    DeltaCase c =
        new DeltaCase(
            trial,
            Q,
            trial.between(1, 20),
            16 * trial.between(1, 5),
            new int[] {16 * trial.between(1, 5)},
            0);
    for (int i = 0; i < 3; i++) {
      c.adapter(8 * trial.between(1, 3), ElementType.F32);
    }
    return new GradientCase(trial, c.disjointSegments(), 0);
  }

  @Test
  public final void required_T1_everyEntryAddsToTheGradientOfItsInput() {
    try (LoraExecutor executor = open()) {
      plainGradients().run(gradients(executor)).checkInputs();
      for (int round = 0; round < trial.trials(8); round++) {
        ordinaryGradients().run(gradients(executor)).checkInputs();
      }
    }
  }

  @Test
  public final void required_T2_theGradientsOfBothFactorsAreSummed() {
    try (LoraExecutor executor = open()) {
      plainGradients().run(gradients(executor)).checkFactors();
      for (int round = 0; round < trial.trials(8); round++) {
        ordinaryGradients().run(gradients(executor)).checkFactors();
      }
    }
  }

  @Test
  public final void required_T3_theGradientsOfWeightsAreSummedOverModules() {
    try (LoraExecutor executor = open()) {
      plainGradients().run(gradients(executor)).checkWeights();
      for (int round = 0; round < trial.trials(4); round++) {
        ordinaryGradients().run(gradients(executor)).checkWeights();
        DeltaCase c = new DeltaCase(trial, QKV, 9, 32, new int[] {32, 16, 16}, 0);
        c.adapter(8, ElementType.F32);
        c.adapter(16, ElementType.F32);
        new GradientCase(trial, c.disjointSegments(), 0).run(gradients(executor)).checkWeights();
      }
    }
  }

  @Test
  public final void required_T4_errorsStayWithinTheBoundOfF32() {
    try (LoraExecutor executor = learning()) {
      for (int in : new int[] {64, 576}) {
        for (int rank : new int[] {8, 64}) {
          DeltaCase c = new DeltaCase(trial, Q, 70, in, new int[] {96}, 0);
          c.all(c.adapter(rank, ElementType.F32), 1f);
          new GradientCase(trial, c, 0).exactly().runAndCheck(gradients(executor));
        }
      }
    }
  }

  @Test
  public final void required_T4_errorsStayWithinTheBoundForAllShapes() {
    try (ThreadWorkers team = new ThreadWorkers(2);
        LoraExecutor executor = learning(team)) {
      for (int round = 0; round < trial.trials(12); round++) {
        DeltaCase c =
            new DeltaCase(
                trial,
                QKV,
                trial.between(1, 30),
                trial.between(1, 150),
                new int[] {trial.between(1, 90), trial.between(1, 50), trial.between(1, 50)},
                trial.between(0, 20));
        for (int i = 0; i < 4; i++) {
          c.adapter(trial.between(1, 40), TYPES.get(trial.between(0, 2)));
        }
        c.randomSegments(trial.between(1, 8));
        new GradientCase(trial, c, trial.between(0, 20)).exactly().runAndCheck(gradients(executor));
      }
    }
  }

  @Test
  public final void required_T5_gradientsAreTheDerivativesOfAddDelta() {
    try (LoraExecutor executor = sound()) {
      gradients(executor);
      for (int round = 0; round < trial.trials(4); round++) {
        int blocks = 1 << trial.between(0, 2);
        DeltaCase c =
            new DeltaCase(
                trial,
                QKV,
                trial.between(1, 20),
                blocks * trial.between(1, 20),
                new int[] {
                  blocks * trial.between(1, 20), 4 * trial.between(1, 9), 4 * trial.between(1, 9)
                },
                0);
        for (int i = 0; i < 3; i++) {
          int rank = blocks * trial.between(1, 5);
          Sizes q = new Sizes(QKV.targets().getFirst(), rank, c.in, c.outs[0], blocks, 1);
          Sizes v = new Sizes(QKV.targets().get(2), 4 * trial.between(1, 3), c.in, c.outs[2], 1, 4);
          c.adapter(ElementType.F32, List.of(drawn(q), drawn(v)));
        }
        GradientCase gradients =
            new GradientCase(trial, c.randomSegments(5), 0).zero().run(gradients(executor));
        c.restore();
        derivativeOfInputs(executor, gradients);
        derivativeOfWeights(executor, gradients);
        for (int a = 0; a < 3; a++) {
          for (int i = 0; i < 2; i++) {
            derivativeOfFactors(executor, gradients, a, i);
          }
        }
      }
    }
  }

  private Factors drawn(Sizes sizes) {
    return Factors.random(sizes, 1.5f, ElementType.F32, DeltaCase.NORMAL, trial.random());
  }

  private void derivativeOfInputs(LoraExecutor executor, GradientCase gradients) {
    float[][] direction = direction(gradients.c.x.rows(), gradients.c.in);
    double[] difference = new double[2];
    for (int sign = -1; sign <= 1; sign += 2) {
      Probe probe = new Probe(gradients.c);
      for (int t = 0; t < gradients.c.x.rows(); t++) {
        for (int i = 0; i < gradients.c.in; i++) {
          probe.c.x.set(t, i, gradients.c.x.get(t, i) + sign * direction[t][i]);
        }
      }
      probe.entries(0, new float[gradients.c.batch.entries()]).add(executor, sign, difference);
    }
    expectDerivative("x", difference, inner(gradients.dx, direction));
  }

  private void derivativeOfWeights(LoraExecutor executor, GradientCase gradients) {
    float[][] direction = direction(gradients.c.batch.entries(), 1);
    float[] change = new float[direction.length];
    for (int e = 0; e < change.length; e++) {
      change[e] = direction[e][0];
    }
    double[] difference = new double[2];
    for (int sign = -1; sign <= 1; sign += 2) {
      new Probe(gradients.c).entries(sign, change).add(executor, sign, difference);
    }
    expectDerivative("the weights", difference, inner(gradients.dw, direction));
  }

  private void derivativeOfFactors(
      LoraExecutor executor, GradientCase gradients, int adapter, int factor) {
    GradientCase.FactorSums sums = gradients.factors.get(adapter).get(factor);
    Factors f = sums.of();
    for (boolean b : new boolean[] {false, true}) {
      GuardedMatrix found = b ? sums.b() : sums.a();
      float[][] direction = direction(found.rows(), found.columns());
      double[] difference = new double[2];
      for (int sign = -1; sign <= 1; sign += 2) {
        Probe probe = new Probe(gradients.c);
        List<Factors> changed = new ArrayList<>(gradients.c.factors.get(adapter));
        changed.set(factor, moved(f, b, sign, direction));
        probe.replace(adapter, changed);
        probe.entries(0, new float[gradients.c.batch.entries()]).add(executor, sign, difference);
      }
      expectDerivative(b ? "B" : "A", difference, inner(found, direction));
    }
  }

  private static Factors moved(Factors f, boolean b, int sign, float[][] direction) {
    float[][] rows = b ? f.b() : f.a();
    int ranks = f.rank() / f.bBlocks();
    float[][] moved = new float[rows.length][];
    for (int r = 0; r < rows.length; r++) {
      moved[r] = rows[r].clone();
      for (int i = 0; i < moved[r].length; i++) {
        moved[r][i] += sign * (b ? direction[f.bStart(r) + i][r % ranks] : direction[r][i]);
      }
    }
    return new Factors(
        f.target(),
        f.in(),
        f.out(),
        f.aBlocks(),
        f.bBlocks(),
        f.scaling(),
        b ? f.a() : moved,
        b ? moved : f.b());
  }

  private float[][] direction(int rows, int columns) {
    float[][] direction = new float[rows][columns];
    for (float[] row : direction) {
      for (int i = 0; i < columns; i++) {
        row[i] = DeltaCase.NORMAL.next(trial.random());
      }
    }
    return direction;
  }

  /** Returns the product of gradients with a direction, and that of the magnitudes. */
  private static double[] inner(GuardedMatrix gradient, float[][] direction) {
    double[] inner = new double[2];
    for (int r = 0; r < gradient.rows(); r++) {
      for (int i = 0; i < gradient.columns(); i++) {
        double product = (double) gradient.get(r, i) * direction[r][i];
        inner[0] += product;
        inner[1] += Math.abs(product);
      }
    }
    return inner;
  }

  /** Compares half the difference between two ends of a line with the slope. */
  private static void expectDerivative(String what, double[] difference, double[] inner) {
    double slope = difference[0] / 2;
    // F32 rounding of sums of some hundred terms at both ends, relative to what was summed.
    double tolerance = 1e-4 * (difference[1] + inner[1]) + 1e-30;
    assertTrue(
        Math.abs(slope - inner[0]) <= tolerance,
        () ->
            String.format(
                "derivative of addDelta by %s: differences give %s, gradients %s, tolerance %.3g",
                what, slope, inner[0], tolerance));
  }

  /** A call of {@code addDelta} near a case, with outputs that begin at zero. */
  private final class Probe {
    private final DeltaCase near;
    private final DeltaCase c;

    Probe(DeltaCase near) {
      this.near = near;
      c = new DeltaCase(trial, near.group, near.tokens, near.in, near.outs, 0);
      for (int t = 0; t < c.tokens; t++) {
        for (int i = 0; i < c.in; i++) {
          c.x.set(t, i, near.x.get(t, i));
        }
        for (GuardedMatrix y : c.y) {
          for (int o = 0; o < y.columns(); o++) {
            y.set(t, o, 0f);
          }
        }
      }
      c.adapters.addAll(near.adapters);
    }

    void replace(int adapter, List<Factors> changed) {
      c.adapters.set(adapter, MemoryAdapter.of("moved", ElementType.F32, changed, trial.random()));
    }

    /** Takes over the entries, with weights moved. */
    Probe entries(int sign, float[] change) {
      LoraBatch batch = near.batch;
      for (int s = 0; s < batch.segments(); s++) {
        c.segment(near.adapters.indexOf(batch.adapter(s)));
        for (int e = batch.segmentStart(s); e < batch.segmentEnd(s); e++) {
          c.batch.add(batch.token(e), batch.weight(e) + sign * change[e]);
        }
      }
      return this;
    }

    /** Adds the product of the outputs with dy, and that of the magnitudes. */
    void add(LoraExecutor executor, int sign, double[] to) {
      c.run(executor);
      for (int m = 0; m < c.y.size(); m++) {
        for (int t = 0; t < c.tokens; t++) {
          for (int o = 0; o < c.outs[m]; o++) {
            double product = (double) c.y.get(m).get(t, o) * near.y.get(m).get(t, o);
            to[0] += sign * product;
            to[1] += Math.abs(product);
          }
        }
      }
    }
  }
}
