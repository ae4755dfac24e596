package dev.lorikeet.conformance.executor;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.conformance.tensor.ElementCodec;
import dev.lorikeet.conformance.tensor.GuardedMatrix;
import dev.lorikeet.conformance.tensor.MemoryAdapter;
import dev.lorikeet.conformance.tensor.MemoryAdapter.Factors;
import dev.lorikeet.executor.LoraExecutor;
import dev.lorikeet.executor.TargetGroup;
import dev.lorikeet.tensor.ElementType;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

/** Rules X9, X11, X12 and X14: numbers at the edges, and what must not make a difference. */
abstract class SpecialNumberRules extends DeltaRules {
  SpecialNumberRules() {}

  @Test
  public final void required_X9_nanReachesAllOutputsOfItsTokenAndNoOther() {
    try (LoraExecutor executor = sound()) {
      for (int round = 0; round < trial.trials(4); round++) {
        int tokens = trial.between(2, 40);
        DeltaCase c = new DeltaCase(trial, Q, tokens, 48, new int[] {32}, 0);
        int sick = trial.between(0, tokens - 1);
        c.x.set(sick, trial.between(0, 47), Float.NaN);
        c.remember();
        c.all(c.adapter(8, ElementType.F32), 1f).run(executor);
        for (int t = 0; t < tokens; t++) {
          if (t != sick) {
            c.checkRow(0, t);
          }
        }
        for (int o = 0; o < 32; o++) {
          assertEquals(Float.NaN, c.y.getFirst().get(sick, o), "row " + sick + ", column " + o);
        }
      }
    }
  }

  @Test
  public final void required_X9_infinityReachesItsTokenAsArithmeticHasIt() {
    try (LoraExecutor executor = sound()) {
      DeltaCase c = new DeltaCase(trial, Q, 9, 32, new int[] {16}, 0);
      c.x.set(4, 31, Float.POSITIVE_INFINITY);
      c.x.set(6, 0, Float.NEGATIVE_INFINITY);
      c.remember();
      int adapter = c.adapter(1, ElementType.F32);
      Factors f = c.factors.get(adapter).getFirst();
      c.all(adapter, 2f).run(executor);
      for (int t = 0; t < 9; t++) {
        if (t != 4 && t != 6) {
          c.checkRow(0, t);
        }
      }
      for (int o = 0; o < 16; o++) {
        assertEquals(
            f.a()[0][31] * f.b()[0][o] * Float.POSITIVE_INFINITY,
            c.y.getFirst().get(4, o),
            "plus infinity, column " + o);
        assertEquals(
            f.a()[0][0] * f.b()[0][o] * Float.NEGATIVE_INFINITY,
            c.y.getFirst().get(6, o),
            "minus infinity, column " + o);
      }
    }
  }

  @Test
  public final void required_X9_infiniteOutputsBeforeTheCallStayInTheirRow() {
    try (LoraExecutor executor = sound()) {
      DeltaCase c = new DeltaCase(trial, Q, 5, 16, new int[] {16}, 0);
      c.y.getFirst().set(2, 3, Float.NEGATIVE_INFINITY).set(2, 15, Float.NaN);
      c.remember();
      c.all(c.adapter(4, ElementType.F32), 1f).run(executor);
      assertEquals(
          Float.NEGATIVE_INFINITY, c.y.getFirst().get(2, 3), "minus infinity plus a delta");
      assertEquals(Float.NaN, c.y.getFirst().get(2, 15), "NaN plus a delta");
      for (int t = 0; t < 5; t++) {
        if (t != 2) {
          c.checkRow(0, t);
        }
      }
      for (int o = 0; o < 15; o++) {
        if (o != 3) {
          assertTrue(Float.isFinite(c.y.getFirst().get(2, o)), "neighbours in the row");
        }
      }
    }
  }

  @Test
  public final void required_X11_subnormalNumbersAreComputed() {
    try (LoraExecutor executor = sound()) {
      // Subnormal inputs and weights that large partners bring back to ordinary sizes.
      DeltaCase inputs = new DeltaCase(trial, Q, 7, 48, new int[] {32}, 0).exactly();
      fill(inputs, random(1e-40f));
      inputs.all(inputs.adapter(ElementType.F32, List.of(scaled(inputs, 1e30f, 1e8f))), 1f);
      inputs.remember().runAndCheck(executor);

      DeltaCase weights = new DeltaCase(trial, Q, 7, 48, new int[] {32}, 0).exactly();
      fill(weights, random(1e10f));
      weights.all(weights.adapter(ElementType.F32, List.of(scaled(weights, 1e20f, 1e-40f))), 1f);
      weights.all(weights.adapter(ElementType.F32, List.of(scaled(weights, 1e-40f, 1e20f))), 1f);
      weights.remember().runAndCheck(executor);

      DeltaCase bf16 = new DeltaCase(trial, Q, 7, 48, new int[] {32}, 0).exactly();
      fill(bf16, random(1e10f));
      bf16.all(
          bf16.adapter(ElementType.BF16, List.of(scaledAs(bf16, ElementType.BF16, 1e-39f, 1e20f))),
          1f);
      bf16.remember().runAndCheck(executor);

      DeltaCase f16 = new DeltaCase(trial, Q, 7, 48, new int[] {32}, 0).exactly();
      f16.all(
          f16.adapter(ElementType.F16, List.of(scaledAs(f16, ElementType.F16, 3e-6f, 2e-6f))), 1f);
      f16.runAndCheck(executor);

      // A result that is subnormal itself, with every step exact.
      DeltaCase result = new DeltaCase(trial, Q, 2, 8, new int[] {8}, 0);
      for (int t = 0; t < 2; t++) {
        for (int i = 0; i < 8; i++) {
          result.x.set(t, i, i == t ? 0x1p-140f : 0f);
          result.y.getFirst().set(t, i, 0f);
        }
      }
      Factors ones = constant(result, 1f, 1f);
      result.all(result.adapter(ElementType.F32, List.of(ones)), 1f).remember().run(executor);
      for (int o = 0; o < 8; o++) {
        assertEquals(0x1p-140f, result.y.getFirst().get(1, o), "a subnormal result");
      }
    }
  }

  @Test
  public final void required_X11_largeMagnitudesAreComputed() {
    try (LoraExecutor executor = sound()) {
      DeltaCase inputs = new DeltaCase(trial, Q, 5, 48, new int[] {32}, 0).exactly();
      fill(inputs, random(1e30f));
      inputs.all(inputs.adapter(ElementType.F32, List.of(scaled(inputs, 1e3f, 1e-30f))), 1f);
      inputs.remember().runAndCheck(executor);

      DeltaCase weights = new DeltaCase(trial, Q, 5, 48, new int[] {32}, 0).exactly();
      weights.all(weights.adapter(ElementType.F32, List.of(scaled(weights, 1e-3f, 1e30f))), 1f);
      weights.all(
          weights.adapter(
              ElementType.BF16, List.of(scaledAs(weights, ElementType.BF16, 1e30f, 1e-3f))),
          1f);
      weights.runAndCheck(executor);
    }
  }

  @Test
  public final void required_X11_resultsThatOverflowBecomeInfinite() {
    try (LoraExecutor executor = sound()) {
      DeltaCase c = new DeltaCase(trial, Q, 3, 16, new int[] {16}, 0);
      for (int i = 0; i < 16; i++) {
        c.x.set(0, i, 1e30f).set(1, i, -1e30f).set(2, i, 1e-30f);
      }
      c.all(c.adapter(ElementType.F32, List.of(constant(c, 1f, 1e25f))), 1f);
      c.remember().run(executor);
      for (int o = 0; o < 16; o++) {
        assertEquals(Float.POSITIVE_INFINITY, c.y.getFirst().get(0, o), "overflow");
        assertEquals(Float.NEGATIVE_INFINITY, c.y.getFirst().get(1, o), "negative overflow");
      }
      c.checkRow(0, 2);
    }
  }

  private MemoryAdapter.Draw random(float magnitude) {
    return random ->
        (float) random.nextDouble(0.25, 1) * (random.nextBoolean() ? magnitude : -magnitude);
  }

  private void fill(DeltaCase c, MemoryAdapter.Draw draw) {
    for (int t = 0; t < c.tokens; t++) {
      for (int i = 0; i < c.in; i++) {
        c.x.set(t, i, draw.next(trial.random()));
      }
    }
  }

  private Factors scaled(DeltaCase c, float aMagnitude, float bMagnitude) {
    return scaledAs(c, ElementType.F32, aMagnitude, bMagnitude);
  }

  private Factors scaledAs(DeltaCase c, ElementType type, float aMagnitude, float bMagnitude) {
    Factors f = factors(c, 0, 8, ElementType.F32);
    MemoryAdapter.Draw a = random(aMagnitude);
    MemoryAdapter.Draw b = random(bMagnitude);
    for (int r = 0; r < f.rank(); r++) {
      for (int i = 0; i < f.a()[r].length; i++) {
        f.a()[r][i] = ElementCodec.round(type, a.next(trial.random()));
      }
      for (int o = 0; o < f.b()[r].length; o++) {
        f.b()[r][o] = ElementCodec.round(type, b.next(trial.random()));
      }
    }
    return f;
  }

  /** Returns factors of rank 1 that are constant, with scaling 1. */
  private static Factors constant(DeltaCase c, float a, float b) {
    float[][] aRows = new float[1][c.in];
    float[][] bRows = new float[1][c.outs[0]];
    java.util.Arrays.fill(aRows[0], a);
    java.util.Arrays.fill(bRows[0], b);
    return new Factors(c.group.targets().getFirst(), c.in, c.outs[0], 1, 1, 1f, aRows, bRows);
  }

  @Test
  public final void required_X12_theDeltaOfATokenDoesNotDependOnOthers() {
    try (LoraExecutor executor = sound()) {
      for (int round = 0; round < trial.trials(3); round++) {
        DeltaCase c = new DeltaCase(trial, Q, 24, 48, new int[] {32}, 0);
        for (int i = 0; i < 4; i++) {
          c.adapter(8 * trial.between(1, 4), ElementType.F32);
        }
        c.randomSegments(7).run(executor);
        float[][] together = new float[24][32];
        for (int t = 0; t < 24; t++) {
          for (int o = 0; o < 32; o++) {
            together[t][o] = c.y.getFirst().get(t, o);
          }
        }
        List<List<AloneEntry>> alone = new ArrayList<>();
        for (int t = 0; t < 24; t++) {
          alone.add(entriesOf(c, t));
        }
        for (int t = 0; t < 24; t++) {
          c.restore().batch.reset(24);
          for (AloneEntry entry : alone.get(t)) {
            c.segment(entry.adapter).batch.add(t, entry.weight);
          }
          c.run(executor);
          DeltaCase.Row row = c.exact(0, t);
          for (int o = 0; o < 32; o++) {
            double difference = Math.abs((double) together[t][o] - c.y.getFirst().get(t, o));
            double error = difference / row.tolerance()[o];
            assertTrue(error <= 1, "token " + t + ", alone and together differ by " + difference);
            trial.error(error);
          }
        }
      }
    }
  }

  private record AloneEntry(int adapter, float weight) {}

  private static List<AloneEntry> entriesOf(DeltaCase c, int token) {
    List<AloneEntry> entries = new ArrayList<>();
    for (int s = 0; s < c.batch.segments(); s++) {
      for (int e = c.batch.segmentStart(s); e < c.batch.segmentEnd(s); e++) {
        if (c.batch.token(e) == token) {
          entries.add(new AloneEntry(c.adapters.indexOf(c.batch.adapter(s)), c.batch.weight(e)));
        }
      }
    }
    return entries;
  }

  @Test
  public final void required_X14_aGroupGivesWhatItsModulesGiveOneByOne() {
    try (LoraExecutor executor = sound()) {
      for (int round = 0; round < trial.trials(2); round++) {
        DeltaCase c = new DeltaCase(trial, QKV, 17, 48, new int[] {48, 16, 16}, 0);
        c.adapter(8, ElementType.F32);
        c.adapter(ElementType.F32, List.of(factors(c, 1, 8, ElementType.F32)));
        c.adapter(
            ElementType.F32,
            List.of(factors(c, 0, 16, ElementType.F32), factors(c, 2, 8, ElementType.F32)));
        c.randomSegments(6).run(executor);
        List<float[][]> together = new ArrayList<>();
        c.y.forEach(y -> together.add(values(y)));
        c.restore();
        for (int m = 0; m < 3; m++) {
          TargetGroup single = TargetGroup.of(1, QKV.projections().get(m));
          executor.addDelta(single, c.batch, c.x.tensor(), List.of(c.y.get(m).tensor()));
          for (int t = 0; t < c.tokens; t++) {
            DeltaCase.Row row = c.exact(m, t);
            for (int o = 0; o < c.outs[m]; o++) {
              double difference = Math.abs((double) together.get(m)[t][o] - c.y.get(m).get(t, o));
              double error = difference / row.tolerance()[o];
              assertTrue(error <= 1, "y[" + m + "]: group and single differ by " + difference);
              trial.error(error);
            }
          }
        }
      }
    }
  }

  private static float[][] values(GuardedMatrix matrix) {
    float[][] values = new float[matrix.rows()][matrix.columns()];
    for (int t = 0; t < values.length; t++) {
      for (int o = 0; o < values[t].length; o++) {
        values[t][o] = matrix.get(t, o);
      }
    }
    return values;
  }
}
