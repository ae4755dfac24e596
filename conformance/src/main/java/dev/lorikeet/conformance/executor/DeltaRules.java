package dev.lorikeet.conformance.executor;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.conformance.setup.Profile;
import dev.lorikeet.conformance.setup.TensorPlacement;
import dev.lorikeet.conformance.tensor.GuardedMatrix;
import dev.lorikeet.conformance.tensor.MemoryAdapter;
import dev.lorikeet.conformance.tensor.MemoryAdapter.Factors;
import dev.lorikeet.conformance.tensor.MemoryAdapter.Sizes;
import dev.lorikeet.conformance.trial.ProviderRules;
import dev.lorikeet.conformance.trial.Trial;
import dev.lorikeet.executor.LoraBatch;
import dev.lorikeet.executor.LoraExecutor;
import dev.lorikeet.executor.TargetGroup;
import dev.lorikeet.executor.Workers;
import dev.lorikeet.shape.Projection;
import dev.lorikeet.shape.TargetModule;
import dev.lorikeet.tensor.ElementType;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;

/** Rules X1 to X8 and X10: what {@code addDelta} computes, and what it leaves alone. */
abstract class DeltaRules extends ProviderRules {
  static final TargetGroup Q = TargetGroup.of(0, Projection.Q);
  static final TargetGroup QKV = TargetGroup.of(1, Projection.Q, Projection.K, Projection.V);
  static final List<ElementType> TYPES = List.of(ElementType.values());

  DeltaRules() {}

  /** Opens an executor that the suite closes. */
  protected abstract LoraExecutor createExecutor(Workers workers);

  /** Returns how to put tensors where an executor computes; empty if that is host memory. */
  protected abstract Optional<TensorPlacement> placement(LoraExecutor executor);

  LoraExecutor open() {
    return createExecutor(Workers.SINGLE);
  }

  /** Opens an executor whose arithmetic is right where nothing is special; else X1 tells. */
  final LoraExecutor sound() {
    return sound(Workers.SINGLE);
  }

  /** Opens an executor on these workers, likewise. */
  final LoraExecutor sound(Workers workers) {
    LoraExecutor executor = createExecutor(workers);
    try (LoraExecutor alone = open()) {
      plainCase(alone);
    } catch (RuntimeException | AssertionError e) {
      executor.close();
      throw Trial.notApplicable("X1 has more to say: " + e.getMessage());
    }
    return executor;
  }

  private void plainCase(LoraExecutor executor) {
    DeltaCase c = new DeltaCase(trial, Q, 4, 16, new int[] {16}, 0);
    c.all(c.adapter(8, ElementType.F32), 2f).runAndCheck(executor);
  }

  @Test
  public final void required_X1_everyEntryAddsItsScaledDelta() {
    try (LoraExecutor executor = open()) {
      plainCase(executor);
      for (int round = 0; round < trial.trials(10); round++) {
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
        c.disjointSegments().runAndCheck(executor);
      }
    }
  }

  @Test
  public final void required_X1_aReusedBatchAndAReusedNameAreSeenAnew() {
    try (LoraExecutor executor = open()) {
      LoraBatch batch = new LoraBatch();
      for (int round = 0; round < trial.trials(4); round++) {
        // The same sizes and the same adapter names each time; other weights, tokens and entries.
        DeltaCase c = new DeltaCase(trial, Q, 9, 32, new int[] {16}, 0);
        c.batch = batch.reset(9);
        c.names = "the-same-";
        c.adapter(8, ElementType.F32);
        c.adapter(8, ElementType.F32);
        c.disjointSegments().runAndCheck(executor);
      }
    }
  }

  @Test
  public final void required_X2_errorsStayWithinTheBoundOfF32() {
    try (LoraExecutor executor = sound()) {
      for (int in : new int[] {64, 576, 16 * trial.between(60, 180)}) {
        for (int rank : new int[] {8, 16, 64}) {
          DeltaCase c = new DeltaCase(trial, Q, 5, in, new int[] {96}, 0).exactly();
          c.all(c.adapter(rank, ElementType.F32), 1f).runAndCheck(executor);
        }
      }
    }
  }

  @Test
  public final void required_X2_errorsStayWithinTheBoundForAllShapes() {
    try (ThreadWorkers team = new ThreadWorkers(2);
        LoraExecutor executor = sound(team)) {
      for (int round = 0; round < trial.trials(12); round++) {
        DeltaCase c =
            new DeltaCase(
                    trial,
                    QKV,
                    trial.between(1, 30),
                    trial.between(1, 150),
                    new int[] {trial.between(1, 90), trial.between(1, 50), trial.between(1, 50)},
                    trial.between(0, 20))
                .exactly();
        for (int i = 0; i < 4; i++) {
          c.adapter(trial.between(1, 40), TYPES.get(trial.between(0, 2)));
        }
        c.randomSegments(trial.between(1, 8)).runAndCheck(executor);
      }
    }
  }

  @Test
  public final void required_X2_cancellationKeepsTheBound() {
    try (LoraExecutor executor = sound()) {
      // Two adapters that are each other's negative: what remains is y0, and the rounding of large
      // intermediate sums.
      DeltaCase c = new DeltaCase(trial, Q, 8, 208, new int[] {48}, 0).exactly();
      int plus = c.adapter(16, ElementType.F32);
      c.adapter(ElementType.F32, c.factors.get(plus));
      c.all(plus, 300f).all(plus + 1, -300f).runAndCheck(executor);
    }
  }

  @Test
  public final void required_X3_allWeightTypesAreTaken() {
    try (LoraExecutor executor = sound()) {
      for (ElementType type : TYPES) {
        assertTrue(executor.takesWeights(type), () -> "takesWeights(" + type + ")");
        for (int round = 0; round < trial.trials(2); round++) {
          DeltaCase c =
              new DeltaCase(
                  trial, Q, 7, 16 * trial.between(1, 8), new int[] {16 * trial.between(1, 8)}, 0);
          c.all(c.adapter(8 * trial.between(1, 4), type), 0.5f).runAndCheck(executor);
        }
      }
      DeltaCase mixed = new DeltaCase(trial, QKV, 12, 48, new int[] {48, 16, 16}, 0);
      TYPES.forEach(type -> mixed.adapter(8, type));
      mixed.disjointSegments().runAndCheck(executor);
    }
  }

  @Test
  public final void required_X4_rowsInNoSegmentStayBitForBit() {
    try (LoraExecutor executor = sound()) {
      for (int round = 0; round < trial.trials(6); round++) {
        int tokens = trial.between(2, 40);
        DeltaCase c = new DeltaCase(trial, Q, tokens, 48, new int[] {32}, 0);
        c.segment(c.adapter(8, ElementType.F32));
        for (int t = trial.between(0, 1); t < tokens; t += trial.between(1, 4)) {
          c.batch.add(t, 1f);
        }
        // Signed zeros, infinities and NaN in rows without a delta are not to be touched either.
        for (int t = 0; t < tokens; t++) {
          if (c.entries(0, t).isEmpty()) {
            c.y.getFirst().set(t, 0, List.of(-0f, Float.NaN, Float.POSITIVE_INFINITY).get(t % 3));
          }
        }
        c.remember().run(executor).checkUntouched();
      }
    }
  }

  @Test
  public final void required_X4_modulesThatNoAdapterChangesStayBitForBit() {
    try (LoraExecutor executor = sound()) {
      DeltaCase c = new DeltaCase(trial, QKV, 10, 32, new int[] {32, 16, 16}, 0);
      int qAndV =
          c.adapter(
              ElementType.F32,
              List.of(factors(c, 0, 4, ElementType.F32), factors(c, 2, 4, ElementType.F32)));
      int kAlone = c.adapter(ElementType.BF16, List.of(factors(c, 1, 8, ElementType.BF16)));
      c.segment(qAndV).batch.add(1, 1f).add(4, 1f).add(9, 2f);
      c.segment(kAlone).batch.add(0, 1f).add(4, -1f);
      c.run(executor).checkUntouched();
    }
  }

  /** Returns random dense factors for one module of a case. */
  final Factors factors(DeltaCase c, int module, int rank, ElementType type) {
    return Factors.random(
        Sizes.dense(c.group.targets().get(module), rank, c.in, c.outs[module]),
        1.5f,
        type,
        DeltaCase.NORMAL,
        trial.random());
  }

  @Test
  public final void required_X4_paddingBetweenRowsStaysBitForBit() {
    try (LoraExecutor executor = sound()) {
      for (int round = 0; round < trial.trials(5); round++) {
        DeltaCase c =
            new DeltaCase(
                trial,
                QKV,
                trial.between(1, 20),
                trial.between(1, 40),
                new int[] {trial.between(1, 40), trial.between(1, 20), trial.between(1, 20)},
                17);
        c.all(c.adapter(trial.between(1, 9), ElementType.F32), 1f).run(executor);
        c.y.forEach(y -> y.expectSurroundingsUnchanged("y"));
      }
    }
  }

  @Test
  public final void required_X5_inputsBatchAndWeightsStay() {
    try (LoraExecutor executor = sound()) {
      DeltaCase c = new DeltaCase(trial, QKV, 30, 64, new int[] {64, 32, 32}, 0);
      TYPES.forEach(type -> c.adapter(8, type));
      c.randomSegments(5);
      long revision = c.batch.revision();
      String entries = describe(c.batch);
      c.run(executor);
      c.x.expectUnchanged("x");
      c.adapters.forEach(MemoryAdapter::expectUnchanged);
      assertEquals(revision, c.batch.revision(), "revision of the batch");
      assertEquals(entries, describe(c.batch), "entries of the batch");
    }
  }

  static String describe(LoraBatch batch) {
    StringBuilder text = new StringBuilder();
    for (int s = 0; s < batch.segments(); s++) {
      text.append('[').append(batch.adapter(s).spec().id()).append(']');
      for (int e = batch.segmentStart(s); e < batch.segmentEnd(s); e++) {
        text.append(batch.token(e)).append('*').append(batch.weight(e)).append(' ');
      }
    }
    return text.toString();
  }

  @Test
  public final void required_X6_anyRankAndSizeIsTaken() {
    try (LoraExecutor executor = sound()) {
      int[] ranks = {1, 2, 3, 7, 8, 15, 16, 17, 31, 32, 33, 64, 65, 128, 255, 256};
      for (int rank : ranks) {
        DeltaCase c =
            new DeltaCase(trial, Q, 3, trial.between(1, 99), new int[] {trial.between(1, 99)}, 5);
        c.all(c.adapter(rank, ElementType.F32), 1f).runAndCheck(executor);
      }
      for (int size = 1; size <= 67; size += trial.profile() == Profile.QUICK ? 3 : 1) {
        DeltaCase c = new DeltaCase(trial, Q, trial.between(1, 9), size, new int[] {68 - size}, 9);
        c.all(c.adapter(trial.between(1, 9), ElementType.F32), 1f).runAndCheck(executor);
      }
      DeltaCase together = new DeltaCase(trial, Q, 40, 77, new int[] {53}, 1);
      for (int rank : ranks) {
        together.adapter(rank, ElementType.F32);
      }
      together.disjointSegments().runAndCheck(executor);
    }
  }

  @Test
  public final void required_X7_emptyBatchesAndSegmentsAreTaken() {
    try (LoraExecutor executor = sound()) {
      DeltaCase none = new DeltaCase(trial, Q, 4, 16, new int[] {16}, 2);
      none.runAndCheck(executor);
      DeltaCase noTokens = new DeltaCase(trial, Q, 0, 16, new int[] {16}, 2);
      noTokens.runAndCheck(executor);
      DeltaCase empty = new DeltaCase(trial, Q, 6, 16, new int[] {16}, 2);
      int first = empty.adapter(4, ElementType.F32);
      int second = empty.adapter(8, ElementType.F32);
      empty.segment(first).segment(second).segment(first).batch.add(2, 1f).add(3, 1f);
      empty.segment(second).segment(second).batch.add(5, 1f);
      empty.segment(first);
      empty.runAndCheck(executor);
    }
  }

  @Test
  public final void required_X24_whateverModuleIsTakenGetsItsOwnWeights() {
    try (LoraExecutor executor = sound()) {
      for (Projection projection : Projection.ofLayer()) {
        assertTrue(executor.takes(TargetModule.of(2, projection)), "takes " + projection);
      }
      // Modules that share layer and projection, or have neither, with weights that all differ.
      List<TargetGroup> groups =
          List.of(
              TargetGroup.of(1, Projection.GATE, Projection.UP),
              TargetGroup.ofExpert(1, 0, Projection.GATE, Projection.UP),
              TargetGroup.ofExpert(1, 3, Projection.GATE, Projection.UP),
              TargetGroup.ofExpert(2, 3, Projection.DOWN),
              TargetGroup.of(1, Projection.ROUTER),
              TargetGroup.output());
      List<TargetModule> modules = new ArrayList<>();
      groups.forEach(group -> modules.addAll(group.targets()));
      int in = 32;
      int out = 48;
      List<Factors> first = factors(modules, in, out);
      List<Factors> second = factors(modules, in, out);
      for (int round = 0; round < trial.trials(2); round++) {
        for (TargetGroup group : groups) {
          if (!group.targets().stream().allMatch(executor::takes)) {
            continue;
          }
          int[] outs = new int[group.targets().size()];
          Arrays.fill(outs, out);
          DeltaCase c = new DeltaCase(trial, group, 9, in, outs, 2);
          c.names = "modules-";
          c.adapter(ElementType.F32, of(first, group));
          c.adapter(ElementType.F32, of(second, group));
          c.disjointSegments().runAndCheck(executor);
        }
      }
      TargetGroup output = TargetGroup.output();
      if (executor.takes(TargetModule.output())) {
        DeltaCase wide = new DeltaCase(trial, output, 3, 64, new int[] {150_001}, 1);
        wide.adapter(4, ElementType.BF16);
        wide.all(0, 1.25f).runAndCheck(executor);
      }
    }
  }

  private List<Factors> factors(List<TargetModule> modules, int in, int out) {
    return modules.stream()
        .map(
            module ->
                Factors.random(
                    Sizes.dense(module, 4, in, out),
                    1,
                    ElementType.F32,
                    DeltaCase.NORMAL,
                    trial.random()))
        .toList();
  }

  private static List<Factors> of(List<Factors> all, TargetGroup group) {
    return all.stream().filter(f -> group.targets().contains(f.target())).toList();
  }

  @Test
  public final void required_X7_mixturesAndRepeatedAdaptersAddUp() {
    try (LoraExecutor executor = sound()) {
      DeltaCase c = new DeltaCase(trial, Q, 12, 48, new int[] {32}, 0);
      for (int i = 0; i < 4; i++) {
        c.adapter(4 << i, ElementType.F32);
      }
      // Weights that do not sum to one, one adapter twice, neighbouring segments of one adapter.
      c.all(0, 0.3f).all(1, 2.5f).all(0, -1.25f).all(2, 1f).all(2, 1f).all(3, 1e-3f);
      c.runAndCheck(executor);
      for (int round = 0; round < trial.trials(4); round++) {
        DeltaCase random = new DeltaCase(trial, QKV, 33, 32, new int[] {32, 16, 16}, 0);
        for (int i = 0; i < 5; i++) {
          random.adapter(8 * trial.between(1, 4), ElementType.F32);
        }
        random.randomSegments(16).runAndCheck(executor);
      }
    }
  }

  @Test
  public final void required_X7_thousandsOfTokensAndSingleOnesAreTaken() {
    try (LoraExecutor executor = sound()) {
      for (int tokens : new int[] {1, 1000 + trial.between(0, 1000), trial.trials(700)}) {
        DeltaCase c = new DeltaCase(trial, Q, tokens, 32, new int[] {16}, 0);
        c.adapter(8, ElementType.F32);
        c.adapter(16, ElementType.F32);
        c.randomSegments(4).runAndCheck(executor);
      }
    }
  }

  @Test
  public final void required_X8_aWeightOfZeroAddsZeroTimesTheDelta() {
    try (LoraExecutor executor = sound()) {
      DeltaCase c = new DeltaCase(trial, Q, 6, 32, new int[] {32}, 0);
      int adapter = c.adapter(8, ElementType.F32);
      for (int i = 0; i < 32; i++) {
        c.x.set(3, i, i % 2 == 0 ? Float.NaN : 1f);
      }
      c.remember();
      c.segment(adapter);
      for (int t = 0; t < 6; t++) {
        c.batch.add(t, t == 1 ? -0f : t == 5 ? 1f : 0f);
      }
      c.run(executor);
      for (int t = 0; t < 5; t++) {
        for (int o = 0; o < 32; o++) {
          float expected = t == 3 ? Float.NaN : c.y.getFirst().remembered(t, o);
          assertEquals(expected, c.y.getFirst().get(t, o), "row " + t + ", column " + o);
        }
      }
      c.checkRow(0, 5);
    }
  }

  @Test
  public final void required_X10_blockDiagonalFactorsEqualDenseOnesWithZeros() {
    try (LoraExecutor executor = sound()) {
      int[][] blocks = {{2, 1}, {1, 2}, {4, 4}, {1, 8}, {8, 1}, {2, 4}};
      for (int round = 0; round < trial.trials(blocks.length); round++) {
        int[] pair = blocks[round % blocks.length];
        int rank = 8 * trial.between(1, 4);
        int in = 16 * trial.between(1, 5);
        int out = 16 * trial.between(1, 5);
        ElementType type = ElementType.F32;
        DeltaCase c = new DeltaCase(trial, Q, 9, in, new int[] {out}, 0);
        Factors blocked =
            Factors.random(
                new Sizes(Q.targets().getFirst(), rank, in, out, pair[0], pair[1]),
                0.5f,
                type,
                DeltaCase.NORMAL,
                trial.random());
        int first = c.adapter(type, List.of(blocked));
        c.all(first, 1f).runAndCheck(executor);
        c.restore().batch.reset(c.tokens);
        c.all(c.adapter(type, List.of(blocked.dense())), 1f).runAndCheck(executor);
      }
    }
  }

  @Test
  public final void required_X13_theSameCallGivesTheSameBits() {
    for (int workers : new int[] {1, 3}) {
      try (ThreadWorkers team = new ThreadWorkers(workers)) {
        DeltaCase c = new DeltaCase(trial, QKV, 150, 64, new int[] {64, 32, 32}, 0);
        for (int i = 0; i < 4; i++) {
          c.adapter(8 * trial.between(1, 4), ElementType.F32);
        }
        c.randomSegments(9);
        DeltaCase other = new DeltaCase(trial, Q, 20, 32, new int[] {16}, 0);
        other.all(other.adapter(8, ElementType.F32), 1f);
        List<byte[]> first = List.of();
        for (int opened = 0; opened < 2; opened++) {
          try (LoraExecutor executor = sound(team)) {
            for (int run = 0; run < trial.trials(6); run++) {
              c.restore().run(executor);
              List<byte[]> bits = c.y.stream().map(GuardedMatrix::rowBytes).toList();
              first = first.isEmpty() ? bits : first;
              for (int m = 0; m < bits.size(); m++) {
                assertArrayEquals(first.get(m), bits.get(m), "bits of y[" + m + "], run " + run);
              }
              other.run(executor);
            }
          }
        }
      }
    }
  }
}
