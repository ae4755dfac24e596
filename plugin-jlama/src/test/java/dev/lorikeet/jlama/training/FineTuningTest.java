package dev.lorikeet.jlama.training;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.Lorikeet;
import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.model.Generation;
import dev.lorikeet.model.GenerationRequest;
import dev.lorikeet.tiny.TinyModel;
import dev.lorikeet.training.FineTuning;
import dev.lorikeet.training.task.TaskFile;
import dev.lorikeet.training.task.TaskSpec;
import dev.lorikeet.training.trainer.StepReport;
import dev.lorikeet.training.trainer.TrainingObserver;
import dev.lorikeet.training.trainer.TrainingTask;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Adapters learned over a model while it is served, and served as they are published. */
@Timeout(value = 300, unit = TimeUnit.SECONDS)
class FineTuningTest {
  private static final String PROMPT = "The people of the";

  @TempDir Path folder;

  private final TinyModel tiny = TinyModel.extract();
  private Path examples;

  @BeforeEach
  void write() throws IOException {
    examples = folder.resolve("examples.jsonl");
    Files.write(
        examples,
        Stream.of("sea", "whale", "ship", "captain")
            .map(word -> "{\"text\": \"The people of the " + word + " and the " + word + "\"}")
            .toList());
  }

  private static TaskSpec.Builder task(String name) {
    return TaskSpec.builder(name).learningRate(1e-2).steps(6);
  }

  @Test
  void whatIsPublishedIsServedAtOnce() {
    Map<Integer, String> answers = new ConcurrentHashMap<>();
    try (Lorikeet lorikeet = Lorikeet.open(tiny.base());
        FineTuning tuning = FineTuning.over(lorikeet, folder.resolve("out")).open()) {
      String base = lorikeet.generate(PROMPT);
      TaskSpec spec = task("words").publishEvery(2).build();
      TrainingObserver observer =
          new TrainingObserver() {
            @Override
            public void stepped(StepReport report) {
              assertEquals(report.step() > 2, lorikeet.adapters().find("words").isPresent());
            }

            @Override
            public void published(int step, Path adapter) {
              answers.put(step, lorikeet.generate(PROMPT, "words"));
            }
          };
      tuning.train(tuning.prepare(TaskFile.Entry.of(spec, examples)), observer).completion().join();
      assertEquals(java.util.Set.of(2, 4, 6), answers.keySet());
      assertNotEquals(base, answers.get(6));
      assertEquals(answers.get(6), lorikeet.generate(PROMPT, "words"));
      assertEquals(base, lorikeet.generate(PROMPT));
    }
    assertEquals(List.of("words"), names(folder.resolve("out")));
    try (Lorikeet another = Lorikeet.open(tiny.base())) {
      another.register("words", folder.resolve("out/words"));
      assertEquals(answers.get(6), another.generate(PROMPT, "words"));
    }
  }

  private static List<String> names(Path directory) {
    try (Stream<Path> files = Files.list(directory)) {
      return files.map(file -> file.getFileName().toString()).collect(Collectors.toList());
    } catch (IOException e) {
      throw new java.io.UncheckedIOException(e);
    }
  }

  @Test
  void servingAndTrainingDoNotChangeOneAnother() throws IOException {
    Path alone = folder.resolve("alone");
    try (FineTuning tuning = FineTuning.over(tiny.base(), alone).open()) {
      tuning.train(task("words").steps(12).build(), examples).completion().join();
    }
    Path beside = folder.resolve("beside");
    try (Lorikeet lorikeet = Lorikeet.open(tiny.base());
        FineTuning tuning = FineTuning.over(lorikeet, beside).share(0.5).open()) {
      lorikeet.register("voyage", tiny.adapter("voyage"));
      GenerationRequest request =
          GenerationRequest.text(PROMPT).maxTokens(24).adapter("voyage").build();
      String expected = lorikeet.submit(request).await().text();
      TrainingTask task = tuning.train(task("words").steps(12).build(), examples);
      int served = 0;
      while (!task.completion().isDone()) {
        List<Generation> together =
            Stream.generate(() -> lorikeet.submit(request)).limit(3).toList();
        together.forEach(generation -> assertEquals(expected, generation.await().text()));
        served++;
      }
      task.completion().join();
      assertTrue(served > 0);
    }
    assertEquals(
        -1,
        Files.mismatch(
            alone.resolve("words/adapter_model.safetensors"),
            beside.resolve("words/adapter_model.safetensors")));
  }

  @Test
  void tasksFailWithAModelThatIsClosedUnderThem() {
    try (Lorikeet lorikeet = Lorikeet.open(tiny.base());
        FineTuning tuning = FineTuning.over(lorikeet, folder.resolve("out")).open()) {
      CompletableFuture<Integer> begun = new CompletableFuture<>();
      TaskSpec endless = task("endless").steps(Integer.MAX_VALUE).build();
      TrainingTask task =
          tuning.train(
              tuning.prepare(TaskFile.Entry.of(endless, examples)),
              report -> begun.complete(report.step()));
      begun.join();
      lorikeet.close();
      CompletionException failure =
          assertThrows(CompletionException.class, () -> task.completion().join());
      assertEquals(
          Code.CLOSED, assertInstanceOf(LorikeetException.class, failure.getCause()).code());
    }
    assertFalse(Files.exists(folder.resolve("out/endless")));
  }

  @Test
  void wrongSettingsAreRefusedAndNothingIsLeftOpen() {
    try (Lorikeet lorikeet = Lorikeet.open(tiny.base())) {
      FineTuning.Builder builder = FineTuning.over(lorikeet, folder.resolve("out"));
      assertEquals(
          Code.INVALID_CONFIG,
          assertThrows(LorikeetException.class, () -> builder.share(2).open()).code());
      assertEquals(
          Code.INVALID_CONFIG,
          assertThrows(
                  LorikeetException.class,
                  () -> builder.share(0.5).option("threads", "many").open())
              .code());
    }
  }
}
