package dev.lorikeet.jlama.training;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.Lorikeet;
import dev.lorikeet.model.AdapterChoice;
import dev.lorikeet.model.Prompt;
import dev.lorikeet.model.Score;
import dev.lorikeet.model.ScoreRequest;
import dev.lorikeet.routing.RunningContext;
import dev.lorikeet.tiny.TinyModel;
import dev.lorikeet.training.FineTuning;
import dev.lorikeet.training.data.Example;
import dev.lorikeet.training.task.LoraMethod;
import dev.lorikeet.training.task.Mixture;
import dev.lorikeet.training.task.OptimizerSpec;
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
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.OptionalDouble;
import java.util.TreeMap;
import java.util.concurrent.CompletionException;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Experts and gates that are learned together: in company, interrupted, and served. */
@Timeout(value = 300, unit = TimeUnit.SECONDS)
class MixtureTaskTest extends OverTinyModel {
  private static final Mixture MEAN =
      new Mixture(3, 2, 0.02, OptionalDouble.of(5e-3), new RunningContext.MeanEmbedding(0.8f));

  private static TaskSpec.Builder task(String name, Mixture mixture) {
    return TaskSpec.builder(name)
        .method(
            new LoraMethod(4, 8, false, LoraMethod.DEFAULT.targets(), Map.of(), Map.of(), 1, false))
        .mixture(mixture)
        .learningRate(5e-3)
        .steps(8)
        .seed(3);
  }

  private static List<Example> texts() {
    return TrainingRun.of("lora").examples();
  }

  /** Returns all files of a mixture by their names. */
  private static Map<String, String> files(Path directory) throws IOException {
    Map<String, String> found = new TreeMap<>();
    try (Stream<Path> all = Files.walk(directory)) {
      for (Path file : all.filter(Files::isRegularFile).toList()) {
        found.put(directory.relativize(file).toString(), Arrays.toString(Files.readAllBytes(file)));
      }
    }
    return found;
  }

  @Test
  void aMixtureIsTheSameBitsInCompany() throws IOException {
    TaskExamples data = inOrder(texts());
    TaskSpec clipped = task("mix", MEAN).maxGradNorm(0.5).dropout(0.1).accumulate(2).build();
    Path alone = folder.resolve("alone");
    List<StepReport> before = Collections.synchronizedList(new ArrayList<>());
    try (Trainer trainer = trainer()) {
      trainer.submit(clipped, data, before::add, output(alone)).completion().join();
    }
    Path among = folder.resolve("among");
    List<StepReport> beside = Collections.synchronizedList(new ArrayList<>());
    try (Trainer trainer = trainer()) {
      TrainingRun run = TrainingRun.of("masked-ragged");
      List<TrainingTask> tasks =
          List.of(
              submit(trainer, run, run.task().build(), folder.resolve("run")),
              trainer.submit(clipped, data, beside::add, output(among)),
              trainer.submit(
                  task("other", Mixture.DEFAULT).steps(5).build(),
                  data,
                  TrainingObserver.NONE,
                  output(folder.resolve("other"))));
      tasks.forEach(task -> task.completion().join());
    }
    assertEquals(before, beside);
    assertEquals(files(alone), files(among));
    TrainingRun run = TrainingRun.of("masked-ragged");
    Path plain = folder.resolve("plain");
    try (Trainer trainer = trainer()) {
      submit(trainer, run, run.task().build(), plain).completion().join();
    }
    assertArrayEquals(weights(plain), weights(folder.resolve("run")));
    assertTrue(before.getLast().loss() < before.getFirst().loss() - 0.1, before::toString);
    assertTrue(before.getLast().balance().orElseThrow() >= 1 - 1e-6, before::toString);
  }

  @Test
  void aResumedMixtureEndsInTheSameBits() throws IOException {
    for (OptimizerSpec optimizer :
        List.of(OptimizerSpec.AdamW.DEFAULT, OptimizerSpec.LoraRite.DEFAULT)) {
      String name = optimizer.getClass().getSimpleName();
      TaskSpec spec =
          task(name, MEAN)
              .optimizer(optimizer)
              .learningRate(2e-3)
              .checkpointEvery(3)
              .publishEvery(2)
              .validateEvery(2)
              .keepBest(true)
              .build();
      TaskExamples data = new TaskExamples(inOrder(texts()).training(), texts().subList(0, 2));
      Path whole = folder.resolve("whole-" + name);
      try (Trainer trainer = trainer()) {
        trainer.submit(spec, data, TrainingObserver.NONE, output(whole)).completion().join();
      }
      Path parts = folder.resolve("parts-" + name);
      try (Trainer trainer = trainer()) {
        TrainingTask task =
            trainer.submit(
                spec,
                data,
                report -> {
                  if (report.step() == 5) {
                    throw new IllegalStateException("stopped");
                  }
                },
                output(parts));
        assertThrows(CompletionException.class, () -> task.completion().join());
      }
      assertFalse(Files.exists(parts));
      List<Integer> steps = Collections.synchronizedList(new ArrayList<>());
      try (Trainer trainer = trainer()) {
        trainer
            .submit(spec, data, report -> steps.add(report.step()), output(parts))
            .completion()
            .join();
      }
      assertEquals(4, steps.getFirst());
      assertEquals(files(whole), files(parts));
      assertFalse(Files.exists(output(parts).orElseThrow().checkpoints()));
    }
  }

  @Test
  void routerServesWhatWasLearned() throws IOException {
    Path mix = folder.resolve("mix");
    List<Example> held =
        texts().subList(0, 2).stream()
            .map(example -> ((Example.Text) example).ids())
            .<Example>map(ids -> new Example.Text(ids, ids))
            .toList();
    StepReport last;
    try (Trainer trainer = trainer()) {
      TaskExamples data = new TaskExamples(inOrder(texts()).training(), held);
      TaskSpec spec = task("mix", MEAN).steps(20).build();
      last = trainer.submit(spec, data, TrainingObserver.NONE, output(mix)).completion().join();
    }
    try (Lorikeet lorikeet = Lorikeet.open(TinyModel.extract().base())) {
      for (int e = 1; e <= 3; e++) {
        lorikeet.register("mix-" + e, mix.resolve("mix-" + e));
      }
      lorikeet.addRouter("gate", Map.of("path", mix.toString()));
      double sum = 0;
      int labels = 0;
      for (Example example : held) {
        int[] ids = ((Example.Text) example).ids();
        Score score =
            lorikeet
                .model()
                .score(
                    ScoreRequest.of(
                        new Prompt.Tokens(Arrays.stream(ids).boxed().toList()),
                        AdapterChoice.routed("gate")))
                .join();
        sum -= score.total();
        labels += ids.length - 1;
      }
      assertEquals(sum / labels, last.validationLoss().orElseThrow(), 1e-3);
    }
  }

  @Test
  void expertsAreServedAsTheyArePublished() throws IOException {
    Path examples = folder.resolve("examples.jsonl");
    Files.write(
        examples,
        Stream.of("sea", "whale", "ship", "captain")
            .map(word -> "{\"text\": \"The people of the " + word + " and the " + word + "\"}")
            .toList());
    try (Lorikeet lorikeet = Lorikeet.open(TinyModel.extract().base());
        FineTuning tuning = FineTuning.over(lorikeet, folder.resolve("out")).open()) {
      TaskSpec spec = task("mix", Mixture.DEFAULT).steps(4).publishEvery(2).build();
      FineTuning.Prepared prepared = tuning.prepare(TaskFile.Entry.of(spec, examples));
      long one =
          tuning
              .plan(
                  List.of(new FineTuning.Prepared(task("one", MEAN).build(), prepared.examples())))
              .gradients();
      assertEquals(4 * one / 3, tuning.plan(List.of(prepared)).gradients());
      TrainingTask task =
          tuning.train(
              prepared,
              new TrainingObserver() {
                @Override
                public void stepped(StepReport report) {
                  assertEquals(report.step() > 2, lorikeet.adapters().find("mix-4").isPresent());
                }

                @Override
                public void published(int step, Path directory) {
                  lorikeet.addRouter("gate-" + step, "gate", Map.of("path", directory.toString()));
                }
              });
      task.completion().join();
      for (String router : List.of("gate-2", "gate-4")) {
        assertFalse(
            lorikeet
                .model()
                .score(
                    ScoreRequest.of(
                        new Prompt.Text("The people of the sea"), AdapterChoice.routed(router)))
                .join()
                .logProbabilities()
                .isEmpty());
      }
    }
    try (Stream<Path> left = Files.list(folder.resolve("out"))) {
      assertEquals(
          List.of("mix"), left.map(p -> p.getFileName().toString()).collect(Collectors.toList()));
    }
  }
}
