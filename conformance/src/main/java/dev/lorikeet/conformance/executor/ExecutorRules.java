package dev.lorikeet.conformance.executor;

import static org.junit.jupiter.api.Assertions.assertDoesNotThrow;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.lorikeet.conformance.executor.Placed.Site;
import dev.lorikeet.conformance.trial.Expect;
import dev.lorikeet.conformance.trial.Trial;
import dev.lorikeet.executor.ExecutorConfig;
import dev.lorikeet.executor.LoraBatch;
import dev.lorikeet.executor.LoraExecutor;
import dev.lorikeet.executor.LoraExecutorProvider;
import dev.lorikeet.executor.TargetGroup;
import dev.lorikeet.executor.Workers;
import dev.lorikeet.shape.Projection;
import dev.lorikeet.tensor.Device;
import dev.lorikeet.tensor.ElementType;
import dev.lorikeet.tensor.Tensor;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.junit.jupiter.api.Test;

/** Rules X15, X16 and X21 to X23: refusals, workers, places and closing. */
abstract class ExecutorRules extends MergeRules {
  static final Device NOWHERE = new Device("nowhere", 7);

  ExecutorRules() {}

  @Override
  protected abstract Optional<LoraExecutorProvider> provider();

  @Override
  protected final void openAndClose(Map<String, String> options) {
    provider().orElseThrow().open(ExecutorConfig.of(Workers.SINGLE).withOptions(options)).close();
  }

  /** A call that does not fit, and what the refusal must say. */
  private record Misfit(
      String what,
      TargetGroup group,
      LoraBatch batch,
      Tensor x,
      List<Tensor> y,
      List<String> says) {}

  @Test
  public final void required_X15_whatDoesNotFitIsRefusedByNameAndWritesNothing() {
    try (LoraExecutor executor = open()) {
      DeltaCase c = new DeltaCase(trial, QKV, 5, 32, new int[] {32, 16, 16}, 0);
      c.all(c.adapter(4, ElementType.F32), 1f);
      c.all(c.adapter(4, ElementType.BF16), 1f);
      for (Misfit misfit : misfits(c, executor)) {
        IllegalArgumentException refusal =
            assertThrows(
                IllegalArgumentException.class,
                () -> executor.addDelta(misfit.group, misfit.batch, misfit.x, misfit.y),
                misfit.what);
        Expect.message(refusal, misfit.says.toArray(String[]::new));
        c.y.forEach(y -> y.expectUnchanged("y after " + misfit.what));
      }
    }
  }

  private List<Misfit> misfits(DeltaCase c, LoraExecutor executor) {
    List<Misfit> misfits = new ArrayList<>();
    Tensor x = c.x.tensor();
    List<Tensor> y = c.outputs();
    LoraBatch batch = c.batch;
    misfits.add(
        new Misfit("x too narrow", QKV, batch, columns(x, 31), y, List.of("x", "32", "31")));
    misfits.add(new Misfit("x too short", QKV, batch, rows(x, 4), y, List.of("x", "5", "4")));
    misfits.add(
        new Misfit(
            "y too narrow",
            QKV,
            batch,
            x,
            with(y, columns(y.get(1), 15)),
            List.of("y", "16", "15")));
    misfits.add(
        new Misfit(
            "y too short", QKV, batch, x, with(y, rows(y.get(1), 3)), List.of("y", "5", "3")));
    misfits.add(new Misfit("an output too few", QKV, batch, x, y.subList(0, 2), List.of("3", "2")));
    misfits.add(
        new Misfit(
            "an output too many",
            TargetGroup.of(1, Projection.Q, Projection.K),
            batch,
            x,
            y,
            List.of("2", "3")));
    if (!executor.takesActivations(ElementType.F32, NOWHERE)) {
      misfits.add(
          new Misfit(
              "x on a strange device", QKV, batch, on(x, NOWHERE), y, List.of("x", "nowhere")));
      misfits.add(
          new Misfit(
              "y on a strange device",
              QKV,
              batch,
              x,
              with(y, on(y.get(1), NOWHERE)),
              List.of("y", "nowhere")));
    }
    for (ElementType type : List.of(ElementType.BF16, ElementType.F16)) {
      if (!executor.takesActivations(type, Device.HOST)) {
        misfits.add(
            new Misfit("x of " + type, QKV, batch, as(x, type), y, List.of("x", type.name())));
        misfits.add(
            new Misfit(
                "y of " + type,
                QKV,
                batch,
                x,
                with(y, as(y.get(1), type)),
                List.of("y", type.name())));
      }
    }
    return misfits;
  }

  /**
   * Puts a tensor in the place of the second output, so that the first could be written by then.
   */
  static List<Tensor> with(List<Tensor> y, Tensor second) {
    return List.of(y.get(0), second, y.get(2));
  }

  static Tensor columns(Tensor t, long columns) {
    return new Tensor(t.segment(), t.type(), t.rows(), columns, t.rowStride(), t.device());
  }

  static Tensor rows(Tensor t, long rows) {
    return new Tensor(t.segment(), t.type(), rows, t.columns(), t.rowStride(), t.device());
  }

  static Tensor as(Tensor t, ElementType type) {
    return new Tensor(t.segment(), type, t.rows(), t.columns(), t.rowStride(), t.device());
  }

  @Test
  public final void required_X16_aClosedLeaseIsAnsweredAndNothingIsWritten() {
    try (LoraExecutor executor = open()) {
      DeltaCase c = new DeltaCase(trial, QKV, 6, 32, new int[] {32, 16, 16}, 0);
      c.all(c.adapter(4, ElementType.F32), 1f).all(c.adapter(4, ElementType.F32), 1f);
      c.run(executor).restore();
      c.adapters.get(1).close();
      Expect.closed("addDelta with a closed lease", () -> c.run(executor));
      c.y.forEach(y -> y.expectUnchanged("y after a refusal"));
    }
  }

  @Test
  public final void required_X16_aClosedExecutorIsAnsweredAndNothingIsWritten() {
    LoraExecutor executor = open();
    DeltaCase c = new DeltaCase(trial, Q, 6, 24, new int[] {24}, 0);
    c.all(c.adapter(4, ElementType.F32), 1f);
    c.run(executor).restore();
    executor.close();
    Expect.closed("addDelta", () -> c.run(executor));
    c.y.forEach(y -> y.expectUnchanged("y after a refusal"));
  }

  @Test
  public final void required_X21_anyNumberOfWorkersGivesTheResult() {
    for (int shards : new int[] {1, 2, 3, 7}) {
      try (ThreadWorkers team = new ThreadWorkers(shards);
          LoraExecutor executor = sound(team)) {
        for (int tokens : new int[] {1, 2, 64, trial.trials(250)}) {
          DeltaCase c = new DeltaCase(trial, QKV, tokens, 48, new int[] {48, 16, 16}, 0);
          for (int i = 0; i < 3; i++) {
            c.adapter(8 * trial.between(1, 3), ElementType.F32);
          }
          c.disjointSegments().runAndCheck(executor);
        }
      }
    }
  }

  @Test
  public final void stochastic_X21_workersShareNothingTheyShouldNot() {
    try (ThreadWorkers team = new ThreadWorkers(4);
        LoraExecutor executor = sound(team)) {
      DeltaCase c = new DeltaCase(trial, Q, 300, 48, new int[] {32}, 0);
      for (int i = 0; i < 3; i++) {
        c.adapter(16, ElementType.F32);
      }
      c.disjointSegments();
      for (int run = 0; run < trial.trials(8); run++) {
        c.restore().runAndCheck(executor);
      }
    }
  }

  @Test
  public final void required_X21_hostComputationRunsOnTheLentWorkers() {
    try (ThreadWorkers team = new ThreadWorkers(2)) {
      Set<Thread> before = new HashSet<>(Thread.getAllStackTraces().keySet());
      try (LoraExecutor executor = createExecutor(team)) {
        if (!executor.device().isHost()) {
          throw Trial.notApplicable("it computes on " + executor.device());
        }
        DeltaCase c = new DeltaCase(trial, Q, 600, 256, new int[] {256}, 0);
        c.all(c.adapter(32, ElementType.F32), 1f).run(executor);
        expectNoOtherThreads(team, before);
      }
    }
  }

  /** Checks that no thread was started since, but the team's and the machine's own. */
  static void expectNoOtherThreads(ThreadWorkers team, Set<Thread> before) {
    Set<String> strangers = new HashSet<>();
    for (Thread thread : Thread.getAllStackTraces().keySet()) {
      boolean ofTheMachine =
          thread.getThreadGroup() == null || thread.getThreadGroup().getName().equals("system");
      if (!before.contains(thread) && !team.threads().contains(thread) && !ofTheMachine) {
        strangers.add(thread.getName());
      }
    }
    strangers.removeIf(name -> name.startsWith("junit") || name.startsWith("surefire"));
    assertEquals(Set.of(), strangers, "threads that the executor started");
  }

  @Test
  public final void required_X23_activationsAreTakenWhereAndAsTheExecutorSays() {
    try (LoraExecutor executor = sound()) {
      List<Site> taken =
          Site.all(placement(executor)).stream()
              .filter(site -> executor.takesActivations(site.type(), site.device()))
              .filter(site -> !site.equals(new Site(ElementType.F32, Optional.empty())))
              .toList();
      if (taken.isEmpty()) {
        throw Trial.notApplicable("it takes F32 in host memory alone, as far as can be tried");
      }
      for (Site site : taken) {
        for (int round = 0; round < trial.trials(4); round++) {
          takes(executor, site);
        }
      }
    }
  }

  private void takes(LoraExecutor executor, Site site) {
    DeltaCase c =
        new DeltaCase(
                trial,
                QKV,
                trial.between(1, 40),
                trial.between(1, 99),
                new int[] {trial.between(1, 70), trial.between(1, 40), trial.between(1, 40)},
                trial.between(0, 9),
                site.type())
            .exactly();
    for (ElementType weights : TYPES) {
      c.adapter(trial.between(1, 32), weights);
    }
    c.disjointSegments().run(executor, site.placement()).checkOutputs();
    c.checkUntouched();
    c.x.expectUnchanged("x, " + site);
  }

  @Test
  public final void required_X23_tensorsOnItsOwnDeviceAreTaken() {
    try (LoraExecutor executor = open()) {
      Device device = executor.device();
      if (TYPES.stream().noneMatch(type -> executor.takesActivations(type, device))) {
        throw Trial.notApplicable("it takes no tensors on " + device);
      }
      if (!device.isHost() && placement(executor).isEmpty()) {
        untested("tensors on " + device + " were not tried: override placement(LoraExecutor)");
      }
      placement(executor)
          .ifPresent(p -> assertEquals(device, p.device(), "device that tensors are put on"));
    }
  }

  @Test
  public final void required_X22_closeIsIdempotent() {
    LoraExecutor executor = open();
    executor.close();
    assertDoesNotThrow(executor::close, "second close");
  }

  @Test
  public final void required_X22_manyMayBeOpenedAndClosed() {
    DeltaCase c = new DeltaCase(trial, Q, 3, 16, new int[] {16}, 0);
    c.all(c.adapter(2, ElementType.F32), 1f);
    for (int i = 0; i < trial.trials(100); i++) {
      try (LoraExecutor executor = open()) {
        c.restore().run(executor);
      }
    }
  }

  @Test
  public final void untested_X22_whatIsHeldOutsideTheJvmIsReleased() {
    untested("what a backend holds outside the JVM can't be seen; the suite opens and closes many");
  }
}
