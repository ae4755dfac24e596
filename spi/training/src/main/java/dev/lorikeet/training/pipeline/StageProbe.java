package dev.lorikeet.training.pipeline;

import dev.lorikeet.adapter.AdapterLease;
import dev.lorikeet.adapter.TargetSpec;
import dev.lorikeet.executor.LoraBatch;
import dev.lorikeet.shape.ModelShape;
import dev.lorikeet.tensor.ElementType;
import dev.lorikeet.tensor.Tensor;
import dev.lorikeet.training.learning.LearningAdapter;
import dev.lorikeet.training.stage.MicroBatch;
import dev.lorikeet.training.stage.OutputGradient;
import dev.lorikeet.training.stage.Retention;
import dev.lorikeet.training.stage.StageOutput;
import dev.lorikeet.training.stage.StageSpan;
import dev.lorikeet.training.stage.TrainableModel;
import dev.lorikeet.training.stage.TrainingPass;
import dev.lorikeet.training.stage.TrainingStage;
import dev.lorikeet.training.task.LoraMethod;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.SplittableRandom;
import java.util.function.Function;

/**
 * Measures what parts of a model cost, on the machine that asks: the lower half of its layers and
 * the upper half with the loss, forward and backward with an adapter on all their modules. Whole
 * halves, since a layer alone would stay in the caches; layers count as alike.
 */
public final class StageProbe {
  private static final int MOST_TOKENS = 64;
  private static final int LEAST_RUNS = 2;
  private static final int MOST_RUNS = 10;
  private static final long BUDGET_NANOS = 2_000_000_000L;

  private StageProbe() {}

  /** Opens parts of a model. */
  public interface Parts {
    /** Opens it. */
    TrainableModel open(Function<ModelShape, StageSpan> span);
  }

  /**
   * Returns what the parts of a model cost, in seconds.
   *
   * @param stages into how many it is to be cut
   * @param passBytes what each stage may keep of a pass for its backward: if that is not all of it,
   *     the rest is computed again, here as there
   */
  public static StageCut measure(Parts parts, int stages, long passBytes) {
    int layers;
    boolean keepAll;
    try (TrainableModel model = parts.open(shape -> StageSpan.of(0, 1, shape))) {
      layers = model.info().shape().layers();
      long ofLayer = model.stage().passBytes(model.stage().maxTokens(), Retention.ALL);
      keepAll = Math.ceilDiv(layers, stages) * ofLayer <= passBytes;
    }
    int half = layers / 2;
    if (half == 0 || stages == 1) {
      return StageCut.ofEqualLayers(0, 1, layers, 0);
    }
    double layer;
    try (TrainableModel model = parts.open(shape -> StageSpan.of(0, half, shape))) {
      layer = seconds(model, keepAll) / half;
    }
    double upper;
    try (TrainableModel model = parts.open(shape -> StageSpan.of(half, layers, shape))) {
      upper = seconds(model, keepAll);
    }
    return StageCut.ofEqualLayers(0, layer, layers, Math.max(0, upper - (layers - half) * layer));
  }

  private static double seconds(TrainableModel model, boolean keepAll) {
    TrainingStage stage = model.stage();
    ModelShape shape = model.info().shape();
    List<TargetSpec> targets =
        LoraMethod.DEFAULT.targets(shape).stream()
            .filter(t -> t.target().layer() >= stage.span().first())
            .filter(t -> t.target().layer() < stage.span().end())
            .toList();
    try (Arena arena = Arena.ofConfined();
        LearningAdapter adapter = LearningAdapter.zeros("probe", targets, 0)) {
      Run run = new Run(stage, shape, adapter, arena, keepAll ? Retention.ALL : Retention.INPUTS);
      fastest(run); // the first runs make machine code of kernels
      return fastest(run) / 1e9;
    }
  }

  /** Returns the nanoseconds of the fastest of some runs. */
  private static long fastest(Run run) {
    long best = Long.MAX_VALUE;
    long begin = System.nanoTime();
    for (int i = 0;
        i < LEAST_RUNS || (i < MOST_RUNS && System.nanoTime() - begin < BUDGET_NANOS);
        i++) {
      long before = System.nanoTime();
      run.once();
      best = Math.min(best, System.nanoTime() - before);
    }
    return best;
  }

  /** A micro-batch of random ids, hidden states and gradients. */
  private static final class Run {
    private final TrainingStage stage;
    private final Retention retention;
    private final MicroBatch batch;
    private final LoraBatch lora = new LoraBatch();
    private final Tensor hidden;

    Run(
        TrainingStage stage,
        ModelShape shape,
        LearningAdapter adapter,
        Arena arena,
        Retention retention) {
      this.stage = stage;
      this.retention = retention;
      SplittableRandom random = new SplittableRandom(1);
      int tokens = Math.min(MOST_TOKENS, stage.maxTokens());
      int[] ids = random.ints(tokens, 0, shape.vocabulary()).toArray();
      batch = MicroBatch.builder().add(0, ids).build();
      batch.fill(lora, task -> Optional.of((AdapterLease) adapter));
      MemorySegment rows = arena.allocate(ValueLayout.JAVA_FLOAT, (long) tokens * shape.hidden());
      for (long i = 0; i < (long) tokens * shape.hidden(); i++) {
        rows.setAtIndex(ValueLayout.JAVA_FLOAT, i, (float) random.nextDouble(-1, 1));
      }
      hidden = Tensor.host(rows, ElementType.F32, tokens, shape.hidden());
    }

    void once() {
      Optional<Tensor> input = stage.span().embeds() ? Optional.empty() : Optional.of(hidden);
      try (TrainingPass pass = stage.forward(batch, lora, input, retention)) {
        OutputGradient gradient =
            switch (pass.output()) {
              case StageOutput.Hidden states -> new OutputGradient.OfHidden(hidden);
              case StageOutput.LogProbabilities scores -> {
                float[] coefficients = new float[batch.tokens()];
                Arrays.fill(coefficients, -1f / batch.tokens());
                yield new OutputGradient.OfLogProbabilities(coefficients);
              }
            };
        stage.backward(pass, gradient, LearningAdapter.gradients());
      }
    }
  }
}
