package dev.lorikeet.jlama.training;

import dev.lorikeet.executor.ExecutorConfig;
import dev.lorikeet.executor.LoraExecutor;
import dev.lorikeet.files.family.Families;
import dev.lorikeet.files.model.Architecture;
import dev.lorikeet.host.ClosingStack;
import dev.lorikeet.host.step.Turns;
import dev.lorikeet.jlama.hub.ModelFolders;
import dev.lorikeet.jlama.kernel.WorkerTeam;
import dev.lorikeet.jlama.lora.ScalarLoraExecutorProvider;
import dev.lorikeet.jlama.lora.VectorLoraExecutorProvider;
import dev.lorikeet.jlama.weights.ModelWeights;
import dev.lorikeet.jlama.weights.ServedWeights;
import dev.lorikeet.model.BaseModel;
import dev.lorikeet.plugin.Availability;
import dev.lorikeet.plugin.Options;
import dev.lorikeet.shape.ModelInfo;
import dev.lorikeet.shape.ModelShape;
import dev.lorikeet.training.stage.SharedBase;
import dev.lorikeet.training.stage.StageSpan;
import dev.lorikeet.training.stage.TrainableModel;
import dev.lorikeet.training.stage.TrainableModelProvider;
import dev.lorikeet.training.stage.TrainingStage;
import java.nio.file.Path;
import java.util.Map;
import java.util.Optional;
import java.util.function.Function;

/** Opens the models that {@code JlamaModelProvider} opens, for fine-tuning on the CPU. */
public final class JlamaTrainableModelProvider implements TrainableModelProvider {
  private static final String OWNER = "training plugin 'jlama'";
  private static final String THREADS = "threads";

  /** For {@link java.util.ServiceLoader}. */
  public JlamaTrainableModelProvider() {}

  @Override
  public String name() {
    return "jlama";
  }

  @Override
  public int priority() {
    return 50;
  }

  @Override
  public Availability availability() {
    return Availability.available(Families.modelTypes());
  }

  @Override
  public TrainableModel open(
      Path path, Function<ModelShape, StageSpan> span, int maxTokens, Map<String, String> values) {
    int threads = threads(values);
    Path directory = ModelFolders.ofEnvironment().modelDirectory(path);
    Architecture architecture = Families.read(directory);
    ClosingStack owned = new ClosingStack();
    try {
      ModelWeights weights = owned.push(ModelWeights.open(directory, architecture));
      ModelInfo info = architecture.info(directory, weights.storage());
      ServedWeights alone = new ServedWeights(architecture, weights, info, new Turns());
      return opened(new Base(alone, span.apply(architecture.shape())), threads, maxTokens, owned);
    } catch (RuntimeException | Error e) {
      owned.close();
      throw e;
    }
  }

  @Override
  public Optional<SharedBase> shared(BaseModel served) {
    return served.extension(ServedWeights.class).map(JlamaTrainableModelProvider::over);
  }

  private static SharedBase over(ServedWeights served) {
    return (maxTokens, values, share) -> {
      served.turns().share(share);
      int threads = threads(values);
      ClosingStack owned = new ClosingStack();
      try {
        StageSpan whole = StageSpan.whole(served.architecture().shape());
        return opened(new Base(served, whole), threads, maxTokens, owned);
      } catch (RuntimeException | Error e) {
        owned.close();
        throw e;
      }
    };
  }

  private static int threads(Map<String, String> values) {
    int processors = Runtime.getRuntime().availableProcessors();
    return WorkerTeam.withinProcessors(
        OWNER, Options.of(OWNER, values, THREADS).number(THREADS, processors, 1, 1024));
  }

  /** What is learned over. */
  private record Base(ServedWeights served, StageSpan span) {}

  private static TrainableModel opened(Base base, int threads, int maxTokens, ClosingStack owned) {
    ServedWeights served = base.served;
    Learnable.check(
        served.info().directory(), served.architecture(), served.weights().layers().getFirst());
    WorkerTeam team = owned.push(new WorkerTeam("lorikeet-trainer-worker", threads));
    LoraExecutor executor = owned.push(executor(ExecutorConfig.of(team)));
    CpuTrainingStage stage =
        owned.push(
            new CpuTrainingStage(
                base.served.architecture(),
                base.served.weights(),
                base.span,
                new CpuTrainingStage.Resources(team, executor, base.served.turns()),
                maxTokens));
    return new Opened(base.served.info(), base.served.weights().bytes(), stage, owned);
  }

  private static LoraExecutor executor(ExecutorConfig config) {
    VectorLoraExecutorProvider vector = new VectorLoraExecutorProvider();
    return vector.availability() instanceof Availability.Available
        ? vector.open(config)
        : new ScalarLoraExecutorProvider().open(config);
  }

  private record Opened(ModelInfo info, long weightBytes, TrainingStage stage, ClosingStack owned)
      implements TrainableModel {
    @Override
    public void close() {
      owned.close();
    }
  }
}
