package dev.lorikeet.jlama.training;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.shape.ModelShape;
import dev.lorikeet.shape.TargetModule;
import dev.lorikeet.tiny.TinyModel;
import dev.lorikeet.training.data.Example;
import dev.lorikeet.training.pipeline.PipelineLearner;
import dev.lorikeet.training.pipeline.PipelinePlan;
import dev.lorikeet.training.pipeline.PipelineSchedule;
import dev.lorikeet.training.pipeline.StageCut;
import dev.lorikeet.training.pipeline.StageMeter;
import dev.lorikeet.training.pipeline.StageOpener;
import dev.lorikeet.training.stage.Retention;
import dev.lorikeet.training.task.Mixture;
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
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Tasks over a pipeline of stages in threads: the same bits as over one stage. */
@Timeout(value = 300, unit = TimeUnit.SECONDS)
class PipelineTest {
  private static final int MAX_TOKENS = 1024;
  private static final Path MODEL = TinyModel.extract().base();

  /** Text, clipped and accumulated, preferences with a reference, another optimizer. */
  private static final List<String> RUNS =
      List.of("lora", "schedule-clip-accumulate", "dpo", "sgd", "dora");

  private static final int STEPS = 5;

  @TempDir static Path shared;
  @TempDir Path folder;

  private static Optional<Results> whole = Optional.empty();

  private static ModelShape shape() {
    try (OpenedStage opened = OpenedStage.of(MODEL, 0, 1, 1, 8)) {
      return opened.architecture().shape();
    }
  }

  private static float[] rowNorms(TargetModule module) {
    try (OpenedStage opened = OpenedStage.of(MODEL, module.layer(), module.layer() + 1, 1, 8)) {
      return opened.stage().rowNorms(module);
    }
  }

  private static StageOpener.Opened open(int first, int end, int maxTokens) {
    OpenedStage opened = OpenedStage.of(MODEL, first, end, 1, maxTokens);
    return new StageOpener.Opened(opened.stage(), opened);
  }

  private static PipelineLearner pipeline(int stages, PipelineSchedule schedule) {
    int layers = shape().layers();
    PipelinePlan plan =
        new PipelinePlan(
            MODEL,
            0,
            StageCut.ofEqualLayers(0.1, 1, layers, 1).into(stages),
            schedule,
            MAX_TOKENS,
            PipelinePlan.windowOf(stages),
            1 << 28);
    return PipelineLearner.inThreads(
        plan,
        mine -> open(mine.span().first(), mine.span().end(), mine.maxTokens()),
        PipelineTest::rowNorms);
  }

  private static TaskExamples inOrder(List<Example> examples) {
    return new TaskExamples(
        n -> examples.get((int) (n % examples.size())), List.of(examples.getFirst()));
  }

  private record Results(Map<String, byte[]> weights, Map<String, List<StepReport>> reports) {}

  private static Results run(Trainer trainer, Path to) throws IOException {
    Map<String, List<StepReport>> reports = new LinkedHashMap<>();
    List<TrainingTask> tasks = new ArrayList<>();
    for (String name : RUNS) {
      TrainingRun run = TrainingRun.of(name);
      List<StepReport> mine = Collections.synchronizedList(new ArrayList<>());
      reports.put(name, mine);
      tasks.add(
          trainer.submit(
              run.task()
                  .steps(STEPS)
                  .dropout(name.equals("schedule-clip-accumulate") ? 0.1 : 0)
                  .validateEvery(2)
                  .keepBest(true)
                  .checkpointEvery(3)
                  .build(),
              inOrder(run.examples()),
              mine::add,
              Optional.of(new TaskOutput(to.resolve(name), Optional.empty()))));
    }
    tasks.forEach(task -> task.completion().join());
    Map<String, byte[]> weights = new LinkedHashMap<>();
    for (String name : RUNS) {
      weights.put(name, Files.readAllBytes(to.resolve(name).resolve("adapter_model.safetensors")));
    }
    return new Results(weights, reports);
  }

  private static Results whole() throws IOException {
    if (whole.isEmpty()) {
      try (OpenedStage opened = OpenedStage.whole(MODEL, 2, MAX_TOKENS);
          Trainer trainer = new Trainer(opened.stage(), shape(), Retention.ALL)) {
        whole = Optional.of(run(trainer, shared.resolve("whole")));
      }
    }
    return whole.get();
  }

  @ParameterizedTest
  @CsvSource({
    "1, LORA_AWARE",
    "2, LORA_AWARE",
    "3, LORA_AWARE",
    "2, GPIPE",
    "3, ONE_F_ONE_B",
    "4, GPIPE"
  })
  void stagesAndSchedulesChangeNoBit(int stages, PipelineSchedule schedule) throws IOException {
    Results whole = whole();
    try (Trainer trainer = new Trainer(pipeline(stages, schedule), shape())) {
      Results piped = run(trainer, folder.resolve("pipeline"));
      for (String name : RUNS) {
        assertEquals(whole.reports().get(name), piped.reports().get(name), name);
        assertArrayEquals(whole.weights().get(name), piped.weights().get(name), name);
      }
    }
  }

  @Test
  void statesOfParaphrasesGoThroughStagesToo() throws IOException {
    TaskSpec spec =
        TaskSpec.builder("cit")
            .objective(new Objective.Contrastive(0.1, 1))
            .learningRate(2e-3)
            .steps(STEPS)
            .batchSize(3)
            .validateEvery(2)
            .build();
    List<Example> pairs = new ArrayList<>();
    List<Example> texts = TrainingRun.of("masked-ragged").examples();
    for (int i = 0; i + 1 < texts.size(); i += 2) {
      pairs.add(
          new Example.Paraphrase((Example.Text) texts.get(i), (Example.Text) texts.get(i + 1)));
    }
    List<List<StepReport>> reports = new ArrayList<>();
    try (OpenedStage opened = OpenedStage.whole(MODEL, 2, MAX_TOKENS);
        Trainer trainer = new Trainer(opened.stage(), shape(), Retention.ALL)) {
      reports.add(learn(trainer, spec, pairs, folder.resolve("whole")));
    }
    try (Trainer trainer = new Trainer(pipeline(3, PipelineSchedule.LORA_AWARE), shape())) {
      reports.add(learn(trainer, spec, pairs, folder.resolve("piped")));
    }
    assertEquals(reports.getFirst(), reports.getLast());
    assertTrue(reports.getFirst().getLast().contrastive().orElseThrow() > 0);
    String weights = "adapter_model.safetensors";
    assertEquals(
        -1,
        Files.mismatch(
            folder.resolve("whole").resolve(weights), folder.resolve("piped").resolve(weights)));
  }

  private static List<StepReport> learn(
      Trainer trainer, TaskSpec spec, List<Example> examples, Path to) {
    List<StepReport> reports = Collections.synchronizedList(new ArrayList<>());
    trainer
        .submit(
            spec,
            inOrder(examples),
            reports::add,
            Optional.of(new TaskOutput(to, Optional.empty())))
        .completion()
        .join();
    return reports;
  }

  @Test
  void mixturesAreRefused() {
    TrainingRun run = TrainingRun.of("lora");
    TaskSpec spec = TaskSpec.builder("mix").mixture(Mixture.DEFAULT).build();
    try (Trainer trainer = new Trainer(pipeline(2, PipelineSchedule.LORA_AWARE), shape())) {
      LorikeetException refused =
          assertThrows(
              LorikeetException.class,
              () ->
                  trainer.submit(
                      spec, inOrder(run.examples()), TrainingObserver.NONE, Optional.empty()));
      assertEquals(Code.INVALID_CONFIG, refused.code());
      assertTrue(String.valueOf(refused.getMessage()).contains("'mix': method"));
    }
  }

  @Test
  void tasksComeGoAndFailWithoutOthersNoticing() throws IOException {
    TrainingRun run = TrainingRun.of("masked-ragged");
    Path alone = folder.resolve("alone");
    try (OpenedStage opened = OpenedStage.whole(MODEL, 1, MAX_TOKENS);
        Trainer trainer = new Trainer(opened.stage(), shape(), Retention.INPUTS)) {
      submit(trainer, run, alone, TrainingObserver.NONE).completion().join();
    }
    try (Trainer trainer = new Trainer(pipeline(2, PipelineSchedule.LORA_AWARE), shape())) {
      TrainingTask cancelled = endless(trainer, run, "cancelled", 1e-3);
      TrainingTask diverging = endless(trainer, run, "diverging", 1e30);
      TrainingTask watched =
          submit(
              trainer,
              run,
              folder.resolve("among"),
              report -> {
                if (report.step() == 3) {
                  cancelled.cancel();
                }
              });
      assertEquals(run.steps(), watched.completion().join().step());
      assertEquals(Code.CANCELLED, codeOf(cancelled));
      assertEquals(Code.NOT_FINITE, codeOf(diverging));
    }
    assertArrayEquals(weights(alone), weights(folder.resolve("among")));
  }

  private static byte[] weights(Path adapter) throws IOException {
    return Files.readAllBytes(adapter.resolve("adapter_model.safetensors"));
  }

  private static TrainingTask submit(
      Trainer trainer, TrainingRun run, Path to, TrainingObserver observer) {
    return trainer.submit(
        run.task().build(),
        inOrder(run.examples()),
        observer,
        Optional.of(new TaskOutput(to, Optional.empty())));
  }

  private static TrainingTask endless(
      Trainer trainer, TrainingRun run, String name, double learningRate) {
    return trainer.submit(
        TaskSpec.builder(name).learningRate(learningRate).steps(Integer.MAX_VALUE).build(),
        inOrder(run.examples()),
        TrainingObserver.NONE,
        Optional.empty());
  }

  private static Code codeOf(TrainingTask task) {
    CompletionException e = assertThrows(CompletionException.class, () -> task.completion().join());
    return assertInstanceOf(LorikeetException.class, e.getCause()).code();
  }

  @Test
  void aStageThatFailsEndsAllTasksWithItsReason() {
    int layers = shape().layers();
    PipelinePlan plan =
        new PipelinePlan(
            MODEL,
            0,
            StageCut.ofEqualLayers(0, 1, layers, 0).into(2),
            PipelineSchedule.LORA_AWARE,
            64,
            4,
            0);
    LorikeetException e =
        assertThrows(
            LorikeetException.class,
            () ->
                PipelineLearner.inThreads(
                    plan,
                    mine -> {
                      if (mine.stage() == 1) {
                        throw new LorikeetException(Code.MODEL_NOT_FOUND, "no such folder");
                      }
                      return open(mine.span().first(), mine.span().end(), mine.maxTokens());
                    },
                    PipelineTest::rowNorms));
    assertEquals(Code.MEMBER_LOST, e.code());
    assertTrue(e.getMessage().contains("stage 1 (layers "), e::getMessage);
    assertTrue(e.getMessage().contains("no such folder"), e::getMessage);
  }

  @Test
  void metersTellWhatStagesDid() {
    TrainingRun run = TrainingRun.of("sgd");
    List<CompletableFuture<List<StageMeter>>> answers = new ArrayList<>();
    PipelineLearner learner = pipeline(2, PipelineSchedule.LORA_AWARE);
    try (Trainer trainer = new Trainer(learner, shape())) {
      trainer
          .submit(
              run.task().build(),
              inOrder(run.examples()),
              report -> {
                if (report.step() == 3 || report.step() == 9) {
                  answers.add(learner.meters());
                }
              },
              Optional.empty())
          .completion()
          .join();
    }
    List<StageMeter> meters = answers.getLast().join();
    assertEquals(2, meters.size());
    for (StageMeter meter : meters) {
      assertEquals(6, meter.forwards());
      assertEquals(6, meter.backwards());
      assertEquals(6, meter.steps());
      assertTrue(meter.forward() > 0 && meter.backward() > 0 && meter.step() > 0);
      double known = meter.waited() + meter.forward() + meter.backward() + meter.step();
      assertTrue(known <= meter.wall(), () -> known + " of " + meter.wall());
      assertTrue(meter.idle() > 0 && meter.idle() < 1, meter::toString);
      assertEquals(meter.forward() / 6, meter.times().forward(), 1e-12);
    }
  }
}
