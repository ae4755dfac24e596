package dev.lorikeet.jlama.training;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.training.data.Example;
import dev.lorikeet.training.task.LoraMethod;
import dev.lorikeet.training.task.Objective;
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
import java.util.concurrent.CompletionException;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.FieldSource;

/** The trainer on the CPU: PyTorch's runs alone and together, and tasks that come and go. */
@Timeout(value = 300, unit = TimeUnit.SECONDS)
class TrainerTest extends OverTinyModel {
  @SuppressWarnings("unused") // by name
  private static final List<String> RUNS = TrainingRun.NAMES;

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
              output(among));
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
  void whatIsLeftOutDoesNotDependOnOthers() throws IOException {
    TrainingRun run = TrainingRun.of("lora");
    TaskSpec spec = run.task().dropout(0.2).steps(5).accumulate(2).build();
    Path alone = folder.resolve("alone");
    try (Trainer trainer = trainer()) {
      Optional<TaskOutput> to = output(alone);
      trainer.submit(spec, inOrder(run.examples()), TrainingObserver.NONE, to).completion().join();
    }
    Path together = folder.resolve("together");
    Path without = folder.resolve("without");
    try (Trainer trainer = trainer()) {
      TrainingTask other = submit(trainer, run, run.task().build(), folder.resolve("other"));
      Optional<TaskOutput> to = output(together);
      TrainingTask same = trainer.submit(spec, inOrder(run.examples()), TrainingObserver.NONE, to);
      Optional<TaskOutput> plain = output(without);
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
                      output(taken)));
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
