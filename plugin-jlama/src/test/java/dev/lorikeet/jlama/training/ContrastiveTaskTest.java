package dev.lorikeet.jlama.training;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.tiny.TinyModel;
import dev.lorikeet.training.FineTuning;
import dev.lorikeet.training.task.Objective;
import dev.lorikeet.training.task.TaskFile;
import dev.lorikeet.training.task.TaskSpec;
import dev.lorikeet.training.trainer.StepReport;
import dev.lorikeet.training.trainer.TaskExamples;
import dev.lorikeet.training.trainer.Trainer;
import dev.lorikeet.training.trainer.TrainingObserver;
import dev.lorikeet.training.trainer.TrainingTask;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.CompletionException;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Contrastive instruction tuning as a task: what it learns, in company, and of the wrong data. */
@Timeout(value = 300, unit = TimeUnit.SECONDS)
class ContrastiveTaskTest extends OverTinyModel {
  private Path data = Path.of("");

  @BeforeEach
  void write() throws IOException {
    data = folder.resolve("paraphrases.jsonl");
    List<String> lines = new ArrayList<>();
    for (String word : List.of("sea", "whale", "ship", "captain")) {
      lines.add(
          "{\"prompt\": \"Tell me of the %s.\", \"paraphrase\": \"The %s, what is it?\","
                  .formatted(word, word)
              + " \"completion\": \" It was the %s.\"}".formatted(word));
    }
    Files.write(data, lines);
  }

  private static TaskSpec.Builder task(double weight) {
    return TaskSpec.builder("cit")
        .objective(new Objective.Contrastive(0.1, weight))
        .learningRate(3e-3)
        .shuffle(false)
        .steps(12);
  }

  private StepReport learn(TaskSpec spec, Path to, List<StepReport> reports) {
    try (FineTuning tuning = FineTuning.over(TinyModel.extract().base(), to).open()) {
      return tuning
          .train(tuning.prepare(TaskFile.Entry.of(spec, data)), reports::add)
          .completion()
          .join();
    }
  }

  @Test
  void wordingsComeToFindOneAnother() {
    List<StepReport> with = Collections.synchronizedList(new ArrayList<>());
    StepReport last = learn(task(1).build(), folder.resolve("with"), with);
    StepReport without =
        learn(
            task(0).build(),
            folder.resolve("without"),
            Collections.synchronizedList(new ArrayList<>()));
    double first = with.getFirst().contrastive().orElseThrow();
    assertTrue(last.contrastive().orElseThrow() < first / 2, with::toString);
    assertTrue(
        last.contrastive().orElseThrow() < without.contrastive().orElseThrow() - 0.1,
        () -> last + " and " + without);
    assertEquals(1, last.accuracy().orElseThrow());
    assertTrue(without.loss() < with.getFirst().loss(), without::toString);
  }

  @Test
  void aTaskIsTheSameBitsInCompany() throws IOException {
    TaskExamples examples;
    try (FineTuning tuning =
        FineTuning.over(TinyModel.extract().base(), folder.resolve("unused")).open()) {
      examples = tuning.prepare(TaskFile.Entry.of(task(1).build(), data)).examples();
    }
    TaskSpec spec = task(1).steps(6).checkpointEvery(2).accumulate(2).batchSize(2).build();
    List<StepReport> alone = Collections.synchronizedList(new ArrayList<>());
    try (Trainer trainer = trainer()) {
      trainer
          .submit(spec, examples, alone::add, output(folder.resolve("alone")))
          .completion()
          .join();
    }
    List<StepReport> among = Collections.synchronizedList(new ArrayList<>());
    TrainingRun run = TrainingRun.of("dpo");
    try (Trainer trainer = trainer()) {
      List<TrainingTask> tasks =
          List.of(
              submit(trainer, run, run.task().build(), folder.resolve("run")),
              trainer.submit(spec, examples, among::add, output(folder.resolve("among"))));
      tasks.forEach(task -> task.completion().join());
    }
    assertEquals(alone, among);
    assertArrayEquals(weights(folder.resolve("alone")), weights(folder.resolve("among")));
  }

  @Test
  void otherExamplesAreRefused() {
    try (Trainer trainer = trainer()) {
      TrainingTask task =
          trainer.submit(
              task(1).build(),
              inOrder(TrainingRun.of("lora").examples()),
              TrainingObserver.NONE,
              output(folder.resolve("wrong")));
      CompletionException e =
          assertThrows(CompletionException.class, () -> task.completion().join());
      LorikeetException cause = assertInstanceOf(LorikeetException.class, e.getCause());
      assertEquals(Code.INVALID_CONFIG, cause.code());
      assertTrue(
          String.valueOf(cause.getMessage()).contains("expected paraphrases"), cause::toString);
    }
  }
}
