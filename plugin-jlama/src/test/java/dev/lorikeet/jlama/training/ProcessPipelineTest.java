package dev.lorikeet.jlama.training;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.cluster.Coordinator;
import dev.lorikeet.cluster.Secret;
import dev.lorikeet.tiny.TinyModel;
import dev.lorikeet.training.data.Example;
import dev.lorikeet.training.pipeline.PipelineSchedule;
import dev.lorikeet.training.pipeline.PipelineSetup;
import dev.lorikeet.training.pipeline.ProcessPipeline;
import dev.lorikeet.training.stage.Retention;
import dev.lorikeet.training.task.TaskSpec;
import dev.lorikeet.training.trainer.TaskExamples;
import dev.lorikeet.training.trainer.TaskOutput;
import dev.lorikeet.training.trainer.Trainer;
import dev.lorikeet.training.trainer.TrainingObserver;
import dev.lorikeet.training.trainer.TrainingTask;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SplittableRandom;
import java.util.concurrent.CompletionException;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.condition.DisabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;

/** Pipelines of processes: the same bits as one stage, also when processes die or hang. */
@Timeout(value = 300, unit = TimeUnit.SECONDS)
class ProcessPipelineTest {
  private static final int MAX_TOKENS = 512;
  private static final int STEPS = 8;
  private static final Path MODEL = TinyModel.extract().base();
  private static final List<String> RUNS = List.of("schedule-clip-accumulate", "loraplus");

  @TempDir Path folder;

  private final long seed = System.nanoTime();
  private final SplittableRandom random = new SplittableRandom(seed);

  private static ProcessPipeline open(int stages) {
    String secret = Secret.newText();
    JlamaTrainableModelProvider provider = new JlamaTrainableModelProvider();
    return ProcessPipeline.open(
        new PipelineSetup(
            stages,
            PipelineSchedule.LORA_AWARE,
            Coordinator.LOCAL,
            Secret.of(secret, "test"),
            Optional.of(address -> StageProcess.program(address, secret)),
            Duration.ofMinutes(2)),
        new ProcessPipeline.Base(
            MODEL,
            span -> provider.open(MODEL, span, MAX_TOKENS, Map.of("threads", "1")),
            MAX_TOKENS,
            1 << 26,
            Optional.empty()),
        says -> {});
  }

  private static TaskSpec spec(TrainingRun run) {
    return run.task().steps(STEPS).checkpointEvery(2).build();
  }

  private static List<TrainingTask> submit(Trainer trainer, Path to, TrainingObserver observer) {
    List<TrainingTask> tasks = new ArrayList<>();
    for (String name : RUNS) {
      TrainingRun run = TrainingRun.of(name);
      List<Example> examples = run.examples();
      tasks.add(
          trainer.submit(
              spec(run),
              TaskExamples.of(n -> examples.get((int) (n % examples.size()))),
              observer,
              Optional.of(new TaskOutput(to.resolve(name), Optional.empty()))));
    }
    return tasks;
  }

  private static void learn(ProcessPipeline pipeline, Path to) {
    try (Trainer trainer = new Trainer(pipeline.learner(), pipeline.model().info().shape())) {
      submit(trainer, to, TrainingObserver.NONE).forEach(task -> task.completion().join());
    }
  }

  private Path whole() {
    Path to = folder.resolve("whole");
    try (OpenedStage opened = OpenedStage.whole(MODEL, 2, MAX_TOKENS);
        Trainer trainer =
            new Trainer(opened.stage(), opened.architecture().shape(), Retention.INPUTS)) {
      submit(trainer, to, TrainingObserver.NONE).forEach(task -> task.completion().join());
    }
    return to;
  }

  private void assertSame(Path expected, Path found) throws IOException {
    for (String name : RUNS) {
      String weights = name + "/adapter_model.safetensors";
      assertArrayEquals(
          Files.readAllBytes(expected.resolve(weights)),
          Files.readAllBytes(found.resolve(weights)),
          name + ", seed " + seed);
    }
  }

  /** Runs until a signal ends one process, and returns what the tasks say. */
  private List<String> interrupted(ProcessPipeline pipeline, Path to, int step, String signal) {
    List<String> said = new ArrayList<>();
    try (pipeline;
        Trainer trainer = new Trainer(pipeline.learner(), pipeline.model().info().shape())) {
      List<ProcessHandle> members = ProcessHandle.current().children().toList();
      ProcessHandle victim = members.get(random.nextInt(members.size()));
      List<TrainingTask> tasks =
          submit(
              trainer,
              to,
              report -> {
                if (report.step() == step) {
                  send(signal, victim);
                }
              });
      for (TrainingTask task : tasks) {
        CompletionException e =
            assertThrows(CompletionException.class, () -> task.completion().join());
        LorikeetException told = assertInstanceOf(LorikeetException.class, e.getCause());
        assertEquals(Code.MEMBER_LOST, told.code(), () -> told + ", seed " + seed);
        said.add(told.getMessage());
      }
    }
    assertEquals(List.of(), ProcessHandle.current().children().toList(), "seed " + seed);
    return said;
  }

  private static void send(String signal, ProcessHandle to) {
    try {
      new ProcessBuilder("kill", "-" + signal, Long.toString(to.pid())).start().waitFor();
    } catch (IOException | InterruptedException e) {
      throw new IllegalStateException(e);
    }
  }

  @Test
  @DisabledOnOs(OS.WINDOWS) // signals
  void processesGiveTheSameBitsWhetherTheyDieHangOrNot() throws IOException {
    Path whole = whole();
    Path undisturbed = folder.resolve("undisturbed");
    try (ProcessPipeline pipeline = open(3)) {
      learn(pipeline, undisturbed);
    }
    assertSame(whole, undisturbed);

    Path disturbed = folder.resolve("disturbed");
    List<String> killed = interrupted(open(2), disturbed, random.nextInt(1, 4), "KILL");
    assertTrue(killed.getFirst().contains("'process'"), killed::toString);
    List<String> hung = interrupted(open(2), disturbed, random.nextInt(4, 7), "STOP");
    assertTrue(hung.getFirst().contains("said nothing"), hung::toString);
    for (String name : RUNS) {
      assertFalse(Files.exists(disturbed.resolve(name)), "seed " + seed);
    }
    try (ProcessPipeline pipeline = open(2)) {
      learn(pipeline, disturbed);
    }
    assertSame(whole, disturbed);
    assertEquals(List.of(), ProcessHandle.current().children().toList(), "seed " + seed);
  }

  @Test
  void aProcessThatDoesNotComeIsTold() {
    LorikeetException e =
        assertThrows(
            LorikeetException.class,
            () -> {
              JlamaTrainableModelProvider provider = new JlamaTrainableModelProvider();
              ProcessPipeline.open(
                      new PipelineSetup(
                          2,
                          PipelineSchedule.LORA_AWARE,
                          Coordinator.LOCAL,
                          Secret.of(Secret.newText(), "test"),
                          Optional.of(address -> StageProcess.program(address, Secret.newText())),
                          Duration.ofSeconds(3)),
                      new ProcessPipeline.Base(
                          MODEL,
                          span -> provider.open(MODEL, span, MAX_TOKENS, Map.of()),
                          MAX_TOKENS,
                          1 << 26,
                          Optional.empty()),
                      says -> {})
                  .close();
            });
    assertEquals(Code.MEMBER_LOST, e.code());
    assertTrue(e.getMessage().contains("expected 2 members"), e::getMessage);
    assertEquals(List.of(), ProcessHandle.current().children().toList());
  }
}
