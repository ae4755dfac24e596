package dev.lorikeet.jlama.training;

import dev.lorikeet.executor.ExecutorConfig;
import dev.lorikeet.executor.LoraExecutor;
import dev.lorikeet.files.family.Families;
import dev.lorikeet.files.model.Architecture;
import dev.lorikeet.host.step.Turns;
import dev.lorikeet.jlama.kernel.WorkerTeam;
import dev.lorikeet.jlama.lora.VectorLoraExecutorProvider;
import dev.lorikeet.jlama.weights.ModelWeights;
import dev.lorikeet.training.stage.StageSpan;
import java.nio.file.Path;

/** A stage with all that it works with. */
record OpenedStage(
    Architecture architecture,
    ModelWeights weights,
    WorkerTeam team,
    LoraExecutor executor,
    CpuTrainingStage stage)
    implements AutoCloseable {

  /** Opens a whole model. */
  static OpenedStage whole(Path directory, int threads, int maxTokens) {
    return of(directory, 0, Integer.MAX_VALUE, threads, maxTokens);
  }

  /** Opens some layers of a model. */
  static OpenedStage of(Path directory, int first, int end, int threads, int maxTokens) {
    Architecture architecture = Families.read(directory);
    ModelWeights weights = ModelWeights.open(directory, architecture);
    WorkerTeam team = new WorkerTeam("stage", threads);
    LoraExecutor executor = new VectorLoraExecutorProvider().open(ExecutorConfig.of(team));
    int last = Math.min(end, architecture.shape().layers());
    CpuTrainingStage stage =
        new CpuTrainingStage(
            architecture,
            weights,
            StageSpan.of(first, last, architecture.shape()),
            new CpuTrainingStage.Resources(team, executor, new Turns()),
            maxTokens);
    return new OpenedStage(architecture, weights, team, executor, stage);
  }

  @Override
  public void close() {
    stage.close();
    executor.close();
    team.close();
    weights.close();
  }
}
