package dev.lorikeet.bench.pipeline;

import dev.lorikeet.cluster.Coordinator;
import dev.lorikeet.cluster.Secret;
import dev.lorikeet.shape.ModelShape;
import dev.lorikeet.training.data.Example;
import dev.lorikeet.training.learning.Learner;
import dev.lorikeet.training.learning.StageLearner;
import dev.lorikeet.training.pipeline.PipelineLearner;
import dev.lorikeet.training.pipeline.PipelinePlan;
import dev.lorikeet.training.pipeline.PipelineSchedule;
import dev.lorikeet.training.pipeline.PipelineSetup;
import dev.lorikeet.training.pipeline.ProcessPipeline;
import dev.lorikeet.training.pipeline.StageMeter;
import dev.lorikeet.training.pipeline.StageProbe;
import dev.lorikeet.training.stage.Retention;
import dev.lorikeet.training.stage.StageSpan;
import dev.lorikeet.training.stage.TrainableModel;
import dev.lorikeet.training.stage.TrainableModelProvider;
import dev.lorikeet.training.task.TaskSpec;
import dev.lorikeet.training.trainer.StepReport;
import dev.lorikeet.training.trainer.TaskExamples;
import dev.lorikeet.training.trainer.Trainer;
import dev.lorikeet.training.trainer.TrainingTask;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SplittableRandom;
import java.util.concurrent.CompletableFuture;
import java.util.function.Consumer;

/**
 * Learns the same micro-batches in different ways: each task a sequence of random ids a step.
 *
 * @param model its directory
 * @param tokens of a micro-batch
 * @param warmUp steps of each task that are not measured
 * @param steps steps of each task that are
 * @param says hears what is done
 */
record PipelineRuns(Path model, int tokens, int warmUp, int steps, Consumer<String> says) {
  static final int RANK = 16;
  private static final long ACTIVATIONS = 1L << 30;
  private static final int COOL_DOWN = 2;

  /**
   * What came of one way.
   *
   * @param tokensPerSecond of all tasks together
   * @param meters by stage; empty for one process
   */
  record Result(double tokensPerSecond, List<StageMeter> meters) {}

  /** One process with all threads, all tasks in one micro-batch. */
  Result whole(int tasks) {
    int threads = Runtime.getRuntime().availableProcessors();
    int maxTokens = tasks * tokens;
    try (TrainableModel opened = provider().open(model, maxTokens, options(threads))) {
      ModelShape shape = opened.info().shape();
      Retention retention = Retention.within(opened.stage(), maxTokens, 1, ACTIVATIONS);
      return run(
          new StageLearner(opened.stage(), retention),
          shape,
          tasks,
          () -> CompletableFuture.completedFuture(List.of()));
    }
  }

  private static TrainableModelProvider provider() {
    return TrainableModelProvider.find(Optional.empty());
  }

  private static Map<String, String> options(int threads) {
    return Map.of("threads", Integer.toString(threads));
  }

  private static int half() {
    return Math.max(1, Runtime.getRuntime().availableProcessors() / 2);
  }

  /** Returns two stages of about equal times, for all ways alike. */
  List<StageSpan> cut() {
    return StageProbe.measure(
            span -> provider().open(model, span, tokens, options(half())),
            2,
            ACTIVATIONS / PipelinePlan.windowOf(2))
        .into(2);
  }

  /** Two processes with half of the threads each. */
  Result piped(int tasks, PipelineSchedule schedule, List<StageSpan> spans) {
    int threads = half();
    String secret = Secret.newText();
    PipelineSetup setup =
        new PipelineSetup(
            2,
            schedule,
            Coordinator.LOCAL,
            Secret.of(secret, "a new secret"),
            Optional.of(address -> StageProcess.program(address, secret, threads)),
            StageProcess.TIMEOUT);
    Map<String, String> options = options(threads);
    try (ProcessPipeline pipeline =
        ProcessPipeline.open(
            setup,
            new ProcessPipeline.Base(
                model,
                span -> provider().open(model, span, tokens, options),
                tokens,
                ACTIVATIONS,
                Optional.of(spans)),
            says)) {
      PipelineLearner learner = pipeline.learner();
      return run(learner, pipeline.model().info().shape(), tasks, learner::meters);
    }
  }

  /** Asks the stages what they did. */
  private interface Meters {
    CompletableFuture<List<StageMeter>> read();
  }

  /** Counts the steps of all tasks, and looks at clock and meters where it begins and ends. */
  private final class Measurement {
    private final int tasks;
    private final Meters meters;
    private int made;
    private long begin;
    private long end;
    private CompletableFuture<List<StageMeter>> answer =
        CompletableFuture.completedFuture(List.of());

    Measurement(int tasks, Meters meters) {
      this.tasks = tasks;
      this.meters = meters;
    }

    void stepped(StepReport report) {
      made++;
      if (made == warmUp * tasks) {
        begin = System.nanoTime();
        answer = meters.read(); // what was before is of no interest
      } else if (made == (warmUp + steps) * tasks) {
        end = System.nanoTime();
        answer = meters.read();
      }
    }

    Result result() {
      double seconds = (end - begin) / 1e9;
      return new Result((double) steps * tasks * tokens / seconds, answer.join());
    }
  }

  private Result run(Learner learner, ModelShape shape, int tasks, Meters meters) {
    Measurement measurement = new Measurement(tasks, meters);
    try (Trainer trainer = new Trainer(learner, shape)) {
      List<TrainingTask> running = new ArrayList<>();
      for (int task = 0; task < tasks; task++) {
        SplittableRandom random = new SplittableRandom(task);
        int[] ids = random.ints(tokens, 3, shape.vocabulary()).toArray();
        running.add(
            trainer.submit(
                TaskSpec.builder("task-" + task)
                    .batchSize(1)
                    .steps(warmUp + steps + COOL_DOWN)
                    .build(),
                TaskExamples.of(n -> new Example.Text(ids, ids)),
                measurement::stepped,
                Optional.empty()));
      }
      running.forEach(task -> task.completion().join());
    }
    return measurement.result();
  }
}
