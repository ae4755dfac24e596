package dev.lorikeet.jlama.training;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.training.data.Example;
import dev.lorikeet.training.task.LoraMethod;
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
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Tasks that are interrupted, and what they keep: checkpoints, and the best adapter. */
@Timeout(value = 300, unit = TimeUnit.SECONDS)
class ResumedTaskTest extends OverTinyModel {
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
                output(parts));
        assertThrows(CompletionException.class, () -> task.completion().join());
        assertTrue(reached.isDone());
      }
      assertFalse(Files.exists(parts));
    }
    List<Integer> steps = Collections.synchronizedList(new ArrayList<>());
    try (Trainer trainer = trainer()) {
      trainer
          .submit(spec, inOrder(run.examples()), report -> steps.add(report.step()), output(parts))
          .completion()
          .join();
    }
    assertEquals(13, steps.getFirst());
    assertArrayEquals(weights(whole), weights(parts));
    assertFalse(Files.exists(output(parts).orElseThrow().checkpoints()));
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
              output(to));
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
      TrainingTask task = trainer.submit(spec, data, reports::add, output(early));
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
      Optional<TaskOutput> to = output(stopped);
      trainer.submit(spec.withSteps(best), data, TrainingObserver.NONE, to).completion().join();
    }
    assertArrayEquals(weights(stopped), weights(early));

    // The same with an interruption behind the best step.
    Path resumed = folder.resolve("resumed");
    interrupt(spec, data, resumed, best + 4);
    List<StepReport> rest = Collections.synchronizedList(new ArrayList<>());
    try (Trainer trainer = trainer()) {
      TrainingTask task = trainer.submit(spec, data, rest::add, output(resumed));
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
      Optional<TaskOutput> to = output(whole);
      trainer.submit(spec, data, reports::add, to).completion().join();
    }
    assertTrue(reports.getLast().loss() < reports.getFirst().loss() - 0.1, reports::toString);
    Path parts = folder.resolve("parts");
    interrupt(spec, data, parts, 7);
    try (Trainer trainer = trainer()) {
      Optional<TaskOutput> to = output(parts);
      trainer.submit(spec, data, TrainingObserver.NONE, to).completion().join();
    }
    assertArrayEquals(weights(whole), weights(parts));
  }

  /** Learns until the observer of a step fails. */
  private void interrupt(TaskSpec spec, TaskExamples data, Path to, int step) {
    CompletableFuture<StepReport> reached = new CompletableFuture<>();
    try (Trainer trainer = trainer()) {
      TrainingObserver observer =
          report -> {
            if (report.step() == step) {
              reached.complete(report);
              throw new IllegalStateException("enough");
            }
          };
      trainer.submit(spec, data, observer, output(to));
      reached.join();
    }
  }
}
