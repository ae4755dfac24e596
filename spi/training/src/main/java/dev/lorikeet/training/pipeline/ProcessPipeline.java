package dev.lorikeet.training.pipeline;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.cluster.Coordinator;
import dev.lorikeet.cluster.Group;
import dev.lorikeet.cluster.Member;
import dev.lorikeet.shape.Projection;
import dev.lorikeet.shape.TargetModule;
import dev.lorikeet.training.stage.StageSpan;
import dev.lorikeet.training.stage.TrainableModel;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;

/** A pipeline of processes, with the last stage in this one. */
public final class ProcessPipeline implements AutoCloseable {
  private static final String COORDINATOR = "coordinator";
  private static final String LAST_STAGE = "last stage";
  private static final Duration GRACE = Duration.ofSeconds(5);

  private final List<Process> processes = new ArrayList<>();
  private Optional<TrainableModel> model = Optional.empty();
  private Optional<PipelineLearner> learner = Optional.empty();
  private Optional<Thread> lastStage = Optional.empty();

  private ProcessPipeline() {}

  /**
   * What is learned over.
   *
   * @param directory of the model
   * @param parts opens parts of it
   * @param maxTokens the most tokens of a micro-batch
   * @param activationBytes what each stage may keep of forwards for their backwards
   * @param spans the stages; empty to cut the model by what is measured
   */
  public record Base(
      Path directory,
      StageProbe.Parts parts,
      int maxTokens,
      long activationBytes,
      Optional<List<StageSpan>> spans) {}

  /**
   * Measures the model, cuts it, starts the processes if this machine has them, and waits until all
   * are ready.
   *
   * @param says hears which stages there are
   * @throws LorikeetException with code {@code MEMBER_LOST} if a process did not come, or could not
   *     open its part; nothing is left then
   * @throws IllegalArgumentException if there are more stages than layers
   */
  public static ProcessPipeline open(PipelineSetup setup, Base base, Consumer<String> says) {
    ProcessPipeline pipeline = new ProcessPipeline();
    try {
      pipeline.begin(setup, base, says);
      return pipeline;
    } catch (RuntimeException | Error e) {
      pipeline.close();
      throw e;
    }
  }

  private void begin(PipelineSetup setup, Base base, Consumer<String> says) {
    int window = PipelinePlan.windowOf(setup.stages());
    List<StageSpan> spans =
        base.spans()
            .orElseGet(
                () ->
                    StageProbe.measure(
                            base.parts(), setup.stages(), base.activationBytes() / window)
                        .into(setup.stages()));
    try (Coordinator coordinator = Coordinator.listen(setup.listen(), setup.secret())) {
      says.accept(
          "pipeline: "
              + setup.stages()
              + " stages, schedule "
              + setup.schedule().title()
              + "; layers "
              + spans.stream().map(s -> s.first() + " to " + (s.end() - 1)).toList()
              + (setup.processes().isPresent()
                  ? ""
                  : "; listening for members at "
                      + coordinator.address().getHostString()
                      + ":"
                      + coordinator.address().getPort()));
      start(setup, coordinator);
      TrainableModel own = base.parts().open(shape -> spans.getLast());
      model = Optional.of(own);
      lastStage =
          Optional.of(
              Thread.ofPlatform()
                  .daemon()
                  .name("lorikeet-last-stage")
                  .start(() -> work(setup, coordinator, own)));
      Group group =
          coordinator.gather(COORDINATOR, setup.stages(), PipelinePlan.limits(), setup.timeout());
      PipelinePlan plan =
          new PipelinePlan(
              base.directory().toAbsolutePath(),
              own.weightBytes(),
              spans,
              setup.schedule(),
              base.maxTokens(),
              window,
              base.activationBytes());
      learner =
          Optional.of(
              new PipelineLearner(group, plan, stages(group), new RowNorms(base.parts())::of));
    }
  }

  /** Reads norms of the rows of weights, a layer at a time. */
  private static final class RowNorms {
    private final StageProbe.Parts parts;
    private final Map<TargetModule, float[]> ofLayer = new HashMap<>();

    RowNorms(StageProbe.Parts parts) {
      this.parts = parts;
    }

    synchronized float[] of(TargetModule module) {
      if (!ofLayer.containsKey(module)) {
        ofLayer.clear();
        int layer = module.layer();
        try (TrainableModel model =
            parts.open(s -> new StageSpan(layer, layer + 1, false, false))) {
          for (Projection projection : Projection.ofLayer()) {
            TargetModule target = TargetModule.of(layer, projection);
            ofLayer.put(target, model.stage().rowNorms(target));
          }
        }
      }
      return Objects.requireNonNull(ofLayer.get(module), "a module of the model");
    }
  }

  private void start(PipelineSetup setup, Coordinator coordinator) {
    if (setup.processes().isPresent()) {
      for (int s = 0; s < setup.stages() - 1; s++) {
        ProcessBuilder program = setup.processes().get().apply(coordinator.address());
        try {
          processes.add(program.start());
        } catch (IOException e) {
          throw new LorikeetException(
              Code.MEMBER_LOST, "starting a process for stage " + s + ": " + e.getMessage(), e);
        }
      }
    }
  }

  private static void work(PipelineSetup setup, Coordinator coordinator, TrainableModel own) {
    try {
      StageWorker.work(
          Member.join(coordinator.address(), setup.secret(), LAST_STAGE, setup.timeout()),
          mine -> new StageOpener.Opened(own.stage(), () -> {}));
    } catch (LorikeetException e) {
      // the group knows why, and so does whoever waits for it
    }
  }

  /** Returns the members by stage: in the order of their coming, the own one last. */
  private static List<Integer> stages(Group group) {
    List<Integer> members = new ArrayList<>();
    int own = 0;
    for (int member = 1; member < group.size(); member++) {
      if (group.name(member).equals(LAST_STAGE)) {
        own = member;
      } else {
        members.add(member);
      }
    }
    members.add(own);
    return members;
  }

  /** Returns the last stage's model. */
  public TrainableModel model() {
    return model.orElseThrow();
  }

  /** Returns what computes; to be closed before the pipeline. */
  public PipelineLearner learner() {
    return learner.orElseThrow();
  }

  /** Ends all processes that were started, and closes the model. Idempotent. */
  @Override
  public void close() {
    learner.ifPresent(PipelineLearner::close);
    boolean interrupted = Thread.interrupted();
    long end = System.nanoTime() + GRACE.toNanos();
    for (Process process : processes) {
      try {
        if (learner.isEmpty()
            || !process.waitFor(Math.max(0, end - System.nanoTime()), TimeUnit.NANOSECONDS)) {
          process.destroyForcibly().waitFor();
        }
      } catch (InterruptedException e) {
        interrupted = true;
        process.destroyForcibly();
      }
    }
    processes.clear();
    try {
      if (lastStage.isPresent()) {
        lastStage.get().join(GRACE);
      }
    } catch (InterruptedException e) {
      interrupted = true;
    }
    model.ifPresent(TrainableModel::close);
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }
}
