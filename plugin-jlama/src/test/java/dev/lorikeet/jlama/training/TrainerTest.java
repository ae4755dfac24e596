package dev.lorikeet.jlama.training;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.tiny.TinyModel;
import dev.lorikeet.training.data.Example;
import dev.lorikeet.training.stage.Retention;
import dev.lorikeet.training.task.LoraMethod;
import dev.lorikeet.training.task.Objective;
import dev.lorikeet.training.task.OptimizerSpec;
import dev.lorikeet.training.task.TaskSpec;
import dev.lorikeet.training.trainer.StepReport;
import dev.lorikeet.training.trainer.TaskExamples;
import dev.lorikeet.training.trainer.TaskOutput;
import dev.lorikeet.training.trainer.Trainer;
import dev.lorikeet.training.trainer.TrainingObserver;
import dev.lorikeet.training.trainer.TrainingTask;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.FieldSource;

/** The trainer on the CPU: PyTorch's runs alone and together, and tasks that come and go. */
@Timeout(value = 300, unit = TimeUnit.SECONDS)
class TrainerTest {
  private static final int MAX_TOKENS = 1024;

  @SuppressWarnings("unused") // by name
  private static final List<String> RUNS = TrainingRun.NAMES;

  private static final Optional<String> NO_BASE = Optional.empty();

  @TempDir Path folder;

  private OpenedStage opened;

  TrainerTest() {

    opened = OpenedStage.whole(TinyModel.extract().base(), 2, MAX_TOKENS);
  }

  @AfterEach
  void close() {
    opened.close();
  }

  private Trainer trainer() {
    return new Trainer(opened.stage(), opened.architecture().shape(), Retention.ALL);
  }

  private TrainingTask submit(Trainer trainer, TrainingRun run, TaskSpec spec, Path to) {
    return trainer.submit(
        spec,
        inOrder(run.examples()),
        run::check,
        Optional.of(new TaskOutput(to, Optional.empty())));
  }

  private static TaskExamples inOrder(List<Example> examples) {
    return TaskExamples.of(n -> examples.get((int) (n % examples.size())));
  }

  @ParameterizedTest
  @FieldSource("RUNS")
  void aRunAloneIsPytorchs(String name) {
    TrainingRun run = TrainingRun.of(name);
    Path to = folder.resolve(name);
    try (Trainer trainer = trainer()) {
      StepReport last = submit(trainer, run, run.task().build(), to).completion().join();
      assertEquals(run.steps(), last.step());
    }
    assertTrue(opened.stage().heldBytes() > 0);
    assertEquals(0, run.distance(to), 1e-2, name);
  }

  @Test
  void allRunsTogetherArePytorchsAndTheSameBitsAsAlone() throws IOException {
    try (Trainer trainer = trainer()) {
      List<TrainingTask> tasks = new ArrayList<>();
      for (String name : RUNS) {
        TrainingRun run = TrainingRun.of(name);
        Path to = together(name);
        tasks.add(submit(trainer, run, run.task().build(), to));
      }
      tasks.forEach(task -> task.completion().join());
    }
    for (String name : RUNS) {
      TrainingRun run = TrainingRun.of(name);
      assertEquals(0, run.distance(together(name)), 1e-2, name);
      Path alone = folder.resolve("alone-" + name);
      try (Trainer trainer = trainer()) {
        submit(trainer, run, run.task().build(), alone).completion().join();
      }
      assertArrayEquals(weights(alone), weights(together(name)), name);
    }
  }

  private Path together(String name) {
    return folder.resolve("together-" + name);
  }

  private static byte[] weights(Path adapter) throws IOException {
    return Files.readAllBytes(adapter.resolve("adapter_model.safetensors"));
  }

  @Test
  void aResumedTaskEndsInTheSameBits() throws IOException {
    TrainingRun run = TrainingRun.of("loraplus");
    TaskSpec spec = run.task().checkpointEvery(3).build();
    Path whole = folder.resolve("whole");
    try (Trainer trainer = trainer()) {
      submit(trainer, run, spec, whole).completion().join();
    }
    Path parts = folder.resolve("parts");
    for (int stop : new int[] {4, 9, 14}) {
      CompletableFuture<StepReport> reached = new CompletableFuture<>();
      try (Trainer trainer = trainer()) {
        TrainingTask task =
            trainer.submit(
                spec,
                inOrder(run.examples()),
                report -> {
                  run.check(report);
                  if (report.step() == stop) {
                    reached.complete(report);
                    throw new IllegalStateException("stopped");
                  }
                },
                Optional.of(new TaskOutput(parts, Optional.empty())));
        assertThrows(CompletionException.class, () -> task.completion().join());
        assertTrue(reached.isDone());
      }
      assertFalse(Files.exists(parts));
    }
    List<Integer> steps = Collections.synchronizedList(new ArrayList<>());
    try (Trainer trainer = trainer()) {
      trainer
          .submit(
              spec,
              inOrder(run.examples()),
              report -> steps.add(report.step()),
              Optional.of(new TaskOutput(parts, Optional.empty())))
          .completion()
          .join();
    }
    assertEquals(13, steps.getFirst());
    assertArrayEquals(weights(whole), weights(parts));
    assertFalse(Files.exists(new TaskOutput(parts, Optional.empty()).checkpoints()));
  }

  @Test
  void aCheckpointOfOtherSettingsIsRefused() {
    TrainingRun run = TrainingRun.of("sgd");
    TaskSpec spec = run.task().checkpointEvery(1).build();
    Path to = folder.resolve("adapter");
    try (Trainer trainer = trainer()) {
      TrainingTask task =
          trainer.submit(
              spec,
              inOrder(run.examples()),
              report -> {
                if (report.step() == 3) {
                  throw new IllegalStateException("stopped");
                }
              },
              Optional.of(new TaskOutput(to, Optional.empty())));
      assertThrows(CompletionException.class, () -> task.completion().join());
      LorikeetException e =
          assertThrows(
              LorikeetException.class,
              () -> submit(trainer, run, run.task().learningRate(0.1).build(), to));
      assertEquals(Code.INVALID_CONFIG, e.code());
      assertTrue(e.getMessage().contains("learning rate 0.2"), e::getMessage);
    }
  }

  @Test
  void tasksComeAndGoAndOthersDoNotNotice() throws IOException {
    TrainingRun run = TrainingRun.of("masked-ragged");
    Path alone = folder.resolve("alone");
    Path among = folder.resolve("among");
    try (Trainer trainer = trainer()) {
      submit(trainer, run, run.task().build(), alone).completion().join();
    }
    try (Trainer trainer = trainer()) {
      TrainingTask cancelled =
          trainer.submit(
              endless("cancelled"),
              inOrder(run.examples()),
              TrainingObserver.NONE,
              Optional.empty());
      TrainingTask paused =
          trainer.submit(
              endless("paused"), inOrder(run.examples()), TrainingObserver.NONE, Optional.empty());
      TrainingTask failing =
          trainer.submit(
              endless("failing"),
              TaskExamples.of(
                  n -> new Example.Text(new int[] {1, 2, 1 << 20}, new int[] {1, 2, 3})),
              TrainingObserver.NONE,
              Optional.empty());
      TrainingTask tooLong =
          trainer.submit(
              endless("too-long"),
              TaskExamples.of(
                  n -> new Example.Text(new int[MAX_TOKENS + 1], new int[MAX_TOKENS + 1])),
              TrainingObserver.NONE,
              Optional.empty());
      TrainingTask watched =
          trainer.submit(
              run.task().build(),
              inOrder(run.examples()),
              report -> {
                run.check(report);
                switch (report.step()) {
                  case 3 -> cancelled.cancel();
                  case 5 -> paused.pause();
                  case 9 -> paused.resume();
                  default -> {}
                }
              },
              Optional.of(new TaskOutput(among, Optional.empty())));
      assertEquals(Code.CANCELLED, codeOf(cancelled));
      assertEquals(Code.TOO_LARGE, codeOf(tooLong));
      assertEquals(Code.INVALID_CONFIG, codeOf(failing));
      assertEquals(run.steps(), watched.completion().join().step());
      assertEquals(TrainingTask.State.FINISHED, watched.state());
      assertEquals(TrainingTask.State.RUNNING, paused.state());
    }
    assertArrayEquals(weights(alone), weights(among));
  }

  private static Code codeOf(TrainingTask task) {
    CompletionException e = assertThrows(CompletionException.class, () -> task.completion().join());
    return assertInstanceOf(LorikeetException.class, e.getCause()).code();
  }

  private static TaskSpec endless(String name) {
    return TaskSpec.builder(name)
        .method(
            new LoraMethod(4, 8, false, LoraMethod.DEFAULT.targets(), Map.of(), Map.of(), 2, false))
        .steps(Integer.MAX_VALUE)
        .build();
  }

  @Test
  void aTaskThatDivergesEndsAndOthersGoOn() {
    TrainingRun run = TrainingRun.of("rslora-decay");
    Path to = folder.resolve("sound");
    try (Trainer trainer = trainer()) {
      TrainingTask diverging =
          trainer.submit(
              TaskSpec.builder("diverging").learningRate(1e30).steps(1000).build(),
              inOrder(run.examples()),
              TrainingObserver.NONE,
              Optional.empty());
      TrainingTask sound = submit(trainer, run, run.task().build(), to);
      assertEquals(Code.NOT_FINITE, codeOf(diverging));
      assertEquals(run.steps(), sound.completion().join().step());
    }
    assertEquals(0, run.distance(to), 1e-2);
  }

  @Test
  void whatATaskIsJudgedByIsNotLearned() {
    TrainingRun run = TrainingRun.of("lora");
    List<Example> examples = run.examples();
    List<StepReport> reports = Collections.synchronizedList(new ArrayList<>());
    TaskSpec spec = run.task().steps(7).validateEvery(3).build();
    try (Trainer trainer = trainer()) {
      trainer
          .submit(
              spec,
              new TaskExamples(inOrder(examples).training(), examples.subList(0, 4)),
              reports::add,
              Optional.empty())
          .completion()
          .join();
      assertEquals(
          List.of(false, false, true, false, false, true, true),
          reports.stream().map(report -> report.validationLoss().isPresent()).toList());
      // The loss after six steps is that of a step on the same examples.
      List<Example> sameFour = examples.subList(0, 4);
      List<StepReport> seventh = Collections.synchronizedList(new ArrayList<>());
      trainer
          .submit(
              spec,
              TaskExamples.of(n -> n < 24 ? examples.get((int) n) : sameFour.get((int) n - 24)),
              seventh::add,
              Optional.empty())
          .completion()
          .join();
      assertEquals(
          reports.get(5).validationLoss().orElseThrow(), seventh.get(6).loss(), 1e-6, "loss");
    }
  }

  @Test
  void aTaskThatGetsWorseEndsEarlyAndKeepsItsBestAdapter() throws IOException {
    TrainingRun run = TrainingRun.of("lora");
    TaskSpec spec =
        TaskSpec.builder("early")
            .learningRate(2e-2)
            .batchSize(4)
            .steps(200)
            .validateEvery(2)
            .checkpointEvery(3)
            .patience(3)
            .keepBest(true)
            .build();
    List<Example> examples = run.examples();
    TaskExamples data =
        new TaskExamples(inOrder(examples.subList(4, 8)).training(), examples.subList(0, 4));
    List<StepReport> reports = Collections.synchronizedList(new ArrayList<>());
    Path early = folder.resolve("early");
    try (Trainer trainer = trainer()) {
      TrainingTask task =
          trainer.submit(spec, data, reports::add, Optional.of(new TaskOutput(early, NO_BASE)));
      task.completion().join();
    }
    int best = 0;
    double least = Double.POSITIVE_INFINITY;
    for (StepReport report : reports) {
      double loss = report.validationLoss().orElse(Double.POSITIVE_INFINITY);
      if (loss < least) {
        least = loss;
        best = report.step();
      }
    }
    assertEquals(best + 2 * 3, reports.size());
    assertTrue(reports.size() < spec.steps());
    Path stopped = folder.resolve("stopped");
    try (Trainer trainer = trainer()) {
      Optional<TaskOutput> to = Optional.of(new TaskOutput(stopped, NO_BASE));
      trainer.submit(spec.withSteps(best), data, TrainingObserver.NONE, to).completion().join();
    }
    assertArrayEquals(weights(stopped), weights(early));

    // The same with an interruption behind the best step.
    Path resumed = folder.resolve("resumed");
    int interruption = best + 4;
    CompletableFuture<StepReport> reached = new CompletableFuture<>();
    try (Trainer trainer = trainer()) {
      TrainingObserver observer =
          report -> {
            if (report.step() == interruption) {
              reached.complete(report);
              throw new IllegalStateException("enough");
            }
          };
      trainer.submit(spec, data, observer, Optional.of(new TaskOutput(resumed, NO_BASE)));
      reached.join();
    }
    List<StepReport> rest = Collections.synchronizedList(new ArrayList<>());
    try (Trainer trainer = trainer()) {
      TrainingTask task =
          trainer.submit(spec, data, rest::add, Optional.of(new TaskOutput(resumed, NO_BASE)));
      assertEquals(reports.size(), task.completion().join().step());
    }
    assertTrue(rest.getFirst().step() > 1);
    assertArrayEquals(weights(early), weights(resumed));
  }

  @Test
  void whoWantsTheBestAdapterHasToSayByWhat() {
    try (Trainer trainer = trainer()) {
      for (TaskSpec spec :
          List.of(
              TaskSpec.builder("best").keepBest(true).build(),
              TaskSpec.builder("early").validateEvery(1).patience(1).build())) {
        LorikeetException failure =
            assertThrows(
                LorikeetException.class,
                () ->
                    trainer.submit(
                        spec,
                        inOrder(TrainingRun.of("lora").examples()),
                        TrainingObserver.NONE,
                        Optional.empty()));
        assertEquals(Code.INVALID_CONFIG, failure.code());
        assertTrue(String.valueOf(failure.getMessage()).contains(spec.name()));
      }
    }
    assertThrows(
        IllegalArgumentException.class, () -> TaskSpec.builder("blind").patience(1).build());
  }

  @Test
  void whatIsLeftOutDoesNotDependOnOthers() throws IOException {
    TrainingRun run = TrainingRun.of("lora");
    TaskSpec spec = run.task().dropout(0.2).steps(5).accumulate(2).build();
    Path alone = folder.resolve("alone");
    try (Trainer trainer = trainer()) {
      Optional<TaskOutput> to = Optional.of(new TaskOutput(alone, NO_BASE));
      trainer.submit(spec, inOrder(run.examples()), TrainingObserver.NONE, to).completion().join();
    }
    Path together = folder.resolve("together");
    Path without = folder.resolve("without");
    try (Trainer trainer = trainer()) {
      TrainingTask other = submit(trainer, run, run.task().build(), folder.resolve("other"));
      Optional<TaskOutput> to = Optional.of(new TaskOutput(together, NO_BASE));
      TrainingTask same = trainer.submit(spec, inOrder(run.examples()), TrainingObserver.NONE, to);
      Optional<TaskOutput> plain = Optional.of(new TaskOutput(without, NO_BASE));
      trainer
          .submit(
              run.task().steps(5).accumulate(2).build(),
              inOrder(run.examples()),
              TrainingObserver.NONE,
              plain)
          .completion()
          .join();
      same.completion().join();
      other.completion().join();
    }
    Path undisturbed = folder.resolve("undisturbed");
    try (Trainer trainer = trainer()) {
      submit(trainer, run, run.task().build(), undisturbed).completion().join();
    }
    assertArrayEquals(weights(alone), weights(together));
    assertArrayEquals(weights(undisturbed), weights(folder.resolve("other")));
    assertFalse(java.util.Arrays.equals(weights(alone), weights(without)));
  }

  @Test
  void loraRiteLearnsAndGoesOnInTheSameBits() throws IOException {
    TrainingRun run = TrainingRun.of("lora");
    TaskSpec spec =
        TaskSpec.builder("rite")
            .method(
                new LoraMethod(
                    4, 8, false, LoraMethod.DEFAULT.targets(), Map.of(), Map.of(), 1, false))
            .optimizer(OptimizerSpec.LoraRite.DEFAULT)
            .learningRate(2e-3)
            .steps(12)
            .checkpointEvery(5)
            .build();
    TaskExamples data = inOrder(run.examples().subList(0, 4));
    List<StepReport> reports = Collections.synchronizedList(new ArrayList<>());
    Path whole = folder.resolve("whole");
    try (Trainer trainer = trainer()) {
      Optional<TaskOutput> to = Optional.of(new TaskOutput(whole, NO_BASE));
      trainer.submit(spec, data, reports::add, to).completion().join();
    }
    assertTrue(reports.getLast().loss() < reports.getFirst().loss() - 0.1, reports::toString);
    Path parts = folder.resolve("parts");
    CompletableFuture<StepReport> reached = new CompletableFuture<>();
    try (Trainer trainer = trainer()) {
      TrainingObserver observer =
          report -> {
            if (report.step() == 7) {
              reached.complete(report);
              throw new IllegalStateException("enough");
            }
          };
      trainer.submit(spec, data, observer, Optional.of(new TaskOutput(parts, NO_BASE)));
      reached.join();
    }
    try (Trainer trainer = trainer()) {
      Optional<TaskOutput> to = Optional.of(new TaskOutput(parts, NO_BASE));
      trainer.submit(spec, data, TrainingObserver.NONE, to).completion().join();
    }
    assertArrayEquals(weights(whole), weights(parts));
  }

  @Test
  void preferencesCanDoWithoutAReference() {
    TrainingRun run = TrainingRun.of("dpo");
    List<StepReport> reports = Collections.synchronizedList(new ArrayList<>());
    try (Trainer trainer = trainer()) {
      trainer
          .submit(
              TaskSpec.builder("cpo")
                  .objective(new Objective.Cpo(0.1, 1))
                  .learningRate(1e-3)
                  .steps(20)
                  .build(),
              inOrder(run.examples().subList(0, 4)),
              reports::add,
              Optional.empty())
          .completion()
          .join();
    }
    assertTrue(
        reports.getLast().loss() < reports.getFirst().loss() - 0.5,
        () -> reports.getFirst() + " to " + reports.getLast());
    assertTrue(reports.getLast().margin().orElseThrow() > 0);
  }

  @Test
  void wrongExamplesAndOutputsAreRefused() throws IOException {
    try (Trainer trainer = trainer()) {
      Example.Text text = new Example.Text(new int[] {1, 2}, new int[] {1, 2});
      TrainingTask task =
          trainer.submit(
              TaskSpec.builder("dpo").objective(new Objective.Dpo(0.1)).build(),
              TaskExamples.of(n -> text),
              TrainingObserver.NONE,
              Optional.empty());
      assertEquals(Code.INVALID_CONFIG, codeOf(task));
      Path taken = Files.createDirectory(folder.resolve("taken"));
      LorikeetException e =
          assertThrows(
              LorikeetException.class,
              () ->
                  trainer.submit(
                      TaskSpec.builder("text").build(),
                      TaskExamples.of(n -> text),
                      TrainingObserver.NONE,
                      Optional.of(new TaskOutput(taken, Optional.empty()))));
      assertTrue(e.getMessage().contains(taken.toString()), e::getMessage);
    }
    Trainer closed = trainer();
    closed.close();
    closed.close();
    LorikeetException e =
        assertThrows(
            LorikeetException.class,
            () ->
                closed.submit(
                    TaskSpec.builder("late").build(),
                    TaskExamples.of(n -> new Example.Text(new int[2], new int[2])),
                    TrainingObserver.NONE,
                    Optional.empty()));
    assertEquals(Code.CLOSED, e.code());
  }
}
