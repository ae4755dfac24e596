package dev.lorikeet.jlama.training;

import dev.lorikeet.tiny.TinyModel;
import dev.lorikeet.training.data.Example;
import dev.lorikeet.training.stage.Retention;
import dev.lorikeet.training.task.TaskSpec;
import dev.lorikeet.training.trainer.TaskExamples;
import dev.lorikeet.training.trainer.TaskOutput;
import dev.lorikeet.training.trainer.Trainer;
import dev.lorikeet.training.trainer.TrainingTask;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.io.TempDir;

/** What tests of the trainer over the tiny model have in common. */
abstract class OverTinyModel {
  static final int MAX_TOKENS = 1024;

  @TempDir Path folder;

  final OpenedStage opened = OpenedStage.whole(TinyModel.extract().base(), 2, MAX_TOKENS);

  @AfterEach
  void close() {
    opened.close();
  }

  Trainer trainer() {
    return new Trainer(opened.stage(), opened.architecture().shape(), Retention.ALL);
  }

  static TrainingTask submit(Trainer trainer, TrainingRun run, TaskSpec spec, Path to) {
    return trainer.submit(spec, inOrder(run.examples()), run::check, output(to));
  }

  static TaskExamples inOrder(List<Example> examples) {
    return TaskExamples.of(n -> examples.get((int) (n % examples.size())));
  }

  static Optional<TaskOutput> output(Path adapter) {
    return Optional.of(new TaskOutput(adapter, Optional.empty()));
  }

  static byte[] weights(Path adapter) throws IOException {
    return Files.readAllBytes(adapter.resolve("adapter_model.safetensors"));
  }
}
