package dev.lorikeet.bench.pipeline;

import dev.lorikeet.bench.machine.Machine;
import dev.lorikeet.bench.model.Preset;
import dev.lorikeet.bench.output.Output;
import dev.lorikeet.bench.pipeline.PipelineReport.Criterion;
import dev.lorikeet.bench.pipeline.PipelineReport.Measured;
import dev.lorikeet.bench.pipeline.PipelineReport.Simulated;
import dev.lorikeet.training.pipeline.PipelinePlan;
import dev.lorikeet.training.pipeline.PipelineSchedule;
import dev.lorikeet.training.pipeline.PipelineSimulator;
import dev.lorikeet.training.pipeline.PipelineSimulator.LinkTimes;
import dev.lorikeet.training.pipeline.PipelineSimulator.Load;
import dev.lorikeet.training.pipeline.PipelineSimulator.Outcome;
import dev.lorikeet.training.pipeline.PipelineSimulator.StageTimes;
import dev.lorikeet.training.pipeline.StageMeter;
import dev.lorikeet.training.stage.StageSpan;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** Measures a pipeline of two processes under its schedules, and plays larger ones. */
@Command(
    name = "pipeline",
    sortOptions = false,
    description =
        "Measures fine-tuning over a pipeline of two processes under the schedules GPipe, 1F1B and LoRA-aware, with the same micro-batches, beside one process; compares it with what a simulator says that is fed with the measured times of the stages; and plays 4 to 64 stages.")
public final class PipelineCommand implements Callable<Integer> {
  private static final double PUBLISHED = 0.30;
  private static final int[] STAGES = {2, 4, 8, 16, 32, 64};
  private static final int PLAYED_STEPS = 20;

  @Option(
      names = "--model",
      paramLabel = "8m|135m|1.1b",
      defaultValue = "135m",
      converter = Preset.Converter.class,
      description = "Random weights of this size (${DEFAULT-VALUE}).")
  private Preset model = Preset.M135;

  @Option(
      names = "--tasks",
      paramLabel = "N",
      defaultValue = "4",
      description = "Tasks at once, each with a micro-batch a step (${DEFAULT-VALUE}).")
  private int tasks;

  @Option(
      names = "--tokens",
      paramLabel = "N",
      defaultValue = "64",
      description = "Tokens of a micro-batch (${DEFAULT-VALUE}).")
  private int tokens;

  @Option(
      names = "--steps",
      paramLabel = "N",
      defaultValue = "12",
      description = "Steps of each task to measure (${DEFAULT-VALUE}).")
  private int steps;

  @Option(
      names = "--warm-up",
      paramLabel = "N",
      defaultValue = "4",
      description = "Steps of each task before that (${DEFAULT-VALUE}).")
  private int warmUp;

  @Option(names = "--quick", description = "Two steps after one: a look, not a measurement.")
  private boolean quick;

  @Mixin private Output output = new Output();

  /** A way to learn that was measured. */
  private record Way(String name, PipelineSchedule schedule, int atOnce) {}

  @Override
  public Integer call() throws IOException {
    String started = Instant.now().toString();
    if (quick) {
      steps = 2;
      warmUp = 1;
    }
    Path file = output.file("pipeline");
    Path directory = model.model(output.data().resolve(model.title()), output::says);
    LinkTimes link = LinkProbe.measure(tokens * model.shape().hidden() * Float.BYTES);
    PipelineRuns runs = new PipelineRuns(directory, tokens, warmUp, steps, output::says);
    List<Way> ways =
        List.of(
            new Way("GPipe, tasks one after another", PipelineSchedule.GPIPE, 1),
            new Way("GPipe", PipelineSchedule.GPIPE, tasks),
            new Way("1F1B", PipelineSchedule.ONE_F_ONE_B, tasks),
            new Way("LoRA-aware", PipelineSchedule.LORA_AWARE, tasks));
    output.says("one process, all tasks in each micro-batch");
    PipelineRuns.Result whole = runs.whole(tasks);
    List<StageSpan> spans = runs.cut(); // with kernels that are machine code by now
    List<PipelineRuns.Result> results = new ArrayList<>();
    for (Way way : ways) {
      output.says("two processes, " + way.name());
      results.add(runs.piped(way.atOnce(), way.schedule(), spans));
    }
    double alone = results.get(0).tokensPerSecond();
    double gpipe = results.get(1).tokensPerSecond();
    List<Measured> measured = new ArrayList<>();
    for (int i = 0; i < ways.size(); i++) {
      measured.add(measured(ways.get(i), results.get(i), link, gpipe, alone));
    }
    measured.add(
        new Measured(
            "one process",
            1,
            tasks,
            whole.tokensPerSecond(),
            whole.tokensPerSecond() / gpipe,
            whole.tokensPerSecond() / alone,
            List.of(),
            List.of(),
            null,
            List.of()));
    StageTimes mean = mean(results.getLast().meters());
    PipelineReport report =
        new PipelineReport(
            "pipeline",
            started,
            Machine.here(),
            model.title(),
            PipelineRuns.RANK,
            tokens,
            tasks,
            steps,
            link,
            mean,
            measured,
            simulated(mean, link),
            criteria(measured));
    print(report);
    output.write(file, report);
    return 0;
  }

  private Measured measured(
      Way way, PipelineRuns.Result result, LinkTimes link, double gpipe, double alone) {
    List<StageTimes> times = result.meters().stream().map(StageMeter::times).toList();
    Steady steady = play(way.schedule(), times, link, way.atOnce());
    return new Measured(
        way.name(),
        times.size(),
        way.atOnce(),
        result.tokensPerSecond(),
        result.tokensPerSecond() / gpipe,
        result.tokensPerSecond() / alone,
        result.meters().stream().map(StageMeter::idle).toList(),
        times,
        steady.microBatchesPerSecond() * tokens,
        steady.idle());
  }

  /** What a pipeline does between its beginning and its end. */
  private record Steady(double microBatchesPerSecond, List<Double> idle) {
    double meanIdle() {
      return idle.stream().mapToDouble(i -> i).average().orElseThrow();
    }
  }

  private static Steady play(
      PipelineSchedule schedule, List<StageTimes> stages, LinkTimes link, int tasks) {
    int window = PipelinePlan.windowOf(stages.size());
    Outcome some =
        PipelineSimulator.play(schedule, stages, link, new Load(tasks, 1, PLAYED_STEPS, window));
    Outcome more =
        PipelineSimulator.play(
            schedule, stages, link, new Load(tasks, 1, 2 * PLAYED_STEPS, window));
    double seconds = more.seconds() - some.seconds();
    List<Double> idle = new ArrayList<>();
    for (int s = 0; s < stages.size(); s++) {
      // At the edges of the time between both plays a stage may be ahead of the others.
      idle.add(Math.max(0, 1 - (more.busy().get(s) - some.busy().get(s)) / seconds));
    }
    return new Steady((more.microBatches() - some.microBatches()) / seconds, idle);
  }

  /** Returns a stage that takes as long as these do on average. */
  private static StageTimes mean(List<StageMeter> meters) {
    double forward = 0;
    double backward = 0;
    double step = 0;
    for (StageMeter meter : meters) {
      forward += meter.times().forward() / meters.size();
      backward += meter.times().backward() / meters.size();
      step += meter.times().step() / meters.size();
    }
    return new StageTimes(forward, backward, step);
  }

  private static List<Simulated> simulated(StageTimes stage, LinkTimes link) {
    List<Simulated> rows = new ArrayList<>();
    for (int stages : STAGES) {
      List<StageTimes> alike = Collections.nCopies(stages, stage);
      for (int tasks : new int[] {stages, 2 * stages, 256}) {
        double alone = play(PipelineSchedule.GPIPE, alike, link, 1).microBatchesPerSecond();
        double gpipe = play(PipelineSchedule.GPIPE, alike, link, tasks).microBatchesPerSecond();
        for (PipelineSchedule schedule : PipelineSchedule.values()) {
          Steady steady = play(schedule, alike, link, tasks);
          rows.add(
              new Simulated(
                  stages,
                  tasks,
                  schedule.title(),
                  steady.meanIdle(),
                  steady.microBatchesPerSecond() / gpipe,
                  steady.microBatchesPerSecond() / alone));
        }
      }
    }
    return rows;
  }

  private static List<Criterion> criteria(List<Measured> measured) {
    Measured aware = measured.get(3);
    double idle = aware.idle().stream().mapToDouble(i -> i).max().orElseThrow();
    double off = measured.stream().mapToDouble(Measured::off).max().orElseThrow();
    return List.of(
        new Criterion("LoRA-aware, largest idle share of a stage", idle, "< 0.05", idle < 0.05),
        new Criterion(
            "LoRA-aware to GPipe with all tasks",
            aware.toGpipe(),
            ">= 1.3",
            aware.toGpipe() >= 1.3),
        new Criterion(
            "LoRA-aware to GPipe, tasks one after another",
            aware.toGpipeAlone(),
            ">= 1.3",
            aware.toGpipeAlone() >= 1.3),
        new Criterion("how far the simulator is off", off, "<= 0.10", off <= 0.10));
  }

  private void print(PipelineReport report) {
    output.print("");
    output.print(report.machine().cpu() + ", " + report.machine().cores() + " cores");
    List<List<String>> rows = new ArrayList<>();
    rows.add(
        List.of(
            "two processes, " + tasks + " tasks",
            "tokens/s",
            "to GPipe",
            "to GPipe alone",
            "idle",
            "simulated tokens/s",
            "idle"));
    for (Measured m : report.measured()) {
      Double simulated = m.simulatedTokensPerSecond();
      rows.add(
          List.of(
              m.name(),
              number(m.tokensPerSecond()),
              ratio(m.toGpipe()),
              ratio(m.toGpipeAlone()),
              m.idle().isEmpty() ? "-" : shares(m.idle()),
              simulated == null ? "-" : number(simulated),
              m.simulatedIdle().isEmpty() ? "-" : shares(m.simulatedIdle())));
    }
    output.table(rows);
    output.print("");
    List<List<String>> played = new ArrayList<>();
    played.add(
        List.of("simulated stages", "tasks", "schedule", "idle", "to GPipe", "to GPipe alone"));
    for (Simulated s : report.simulated()) {
      played.add(
          List.of(
              Integer.toString(s.stages()),
              Integer.toString(s.tasks()),
              s.schedule(),
              share(s.idle()),
              ratio(s.toGpipe()),
              ratio(s.toGpipeAlone())));
    }
    output.table(played);
    output.print(
        String.format(
            Locale.ROOT,
            "mLoRA reports %.0f %% less time to complete a task (arXiv 2312.02515), that is a ratio of %.2f",
            100 * PUBLISHED,
            1 / (1 - PUBLISHED)));
    for (Criterion c : report.criteria()) {
      output.print(
          c.name()
              + ": "
              + ratio(c.value())
              + ", expected "
              + c.bound()
              + (c.holds() ? "" : ": MISSED"));
    }
  }

  private static String number(double value) {
    return String.format(Locale.ROOT, "%.0f", value);
  }

  private static String ratio(double value) {
    return String.format(Locale.ROOT, "%.2f", value);
  }

  private static String share(double value) {
    return String.format(Locale.ROOT, "%.1f %%", 100 * value);
  }

  private static String shares(List<Double> values) {
    return String.join(" / ", values.stream().map(PipelineCommand::share).toList());
  }
}
