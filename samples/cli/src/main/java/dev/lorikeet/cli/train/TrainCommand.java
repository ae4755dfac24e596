package dev.lorikeet.cli.train;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.cli.console.ByteSize;
import dev.lorikeet.cli.console.Console;
import dev.lorikeet.cli.console.ExitCode;
import dev.lorikeet.cli.console.Json;
import dev.lorikeet.cli.console.Table;
import dev.lorikeet.cli.console.Visible;
import dev.lorikeet.cli.options.Directories;
import dev.lorikeet.files.gate.GateWriter;
import dev.lorikeet.files.peft.PeftAdapterFile;
import dev.lorikeet.training.FineTuning;
import dev.lorikeet.training.task.TaskFile;
import dev.lorikeet.training.trainer.MemoryPlan;
import dev.lorikeet.training.trainer.StepReport;
import dev.lorikeet.training.trainer.TrainingTask;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.ArgGroup;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** Fine-tunes adapters over one base model, all at once. */
@Command(
    name = "train",
    sortOptions = false,
    description =
        "Learns LoRA adapters over a frozen base model: one by options, or all tasks of a file at once. Writes PEFT directories. A task that was interrupted goes on from its last checkpoint; of a file's tasks those whose adapter is there are passed over.")
public final class TrainCommand implements Callable<Integer> {
  private final Console console;
  private final String mainClass;

  @Spec private CommandSpec spec = CommandSpec.create();

  @Option(
      names = {"-m", "--model"},
      required = true,
      paramLabel = "DIR",
      description = "Hugging Face model directory, or a model's name: owner/name.")
  private Path model = Path.of("");

  @Option(
      names = {"-o", "--out"},
      required = true,
      paramLabel = "DIR",
      description =
          "Directory in which each task's adapter is written, by its name, with a log NAME.jsonl beside it, and a plot of all losses, losses.svg.")
  private Path out = Path.of("");

  @ArgGroup(multiplicity = "1")
  private Choice choice = new Choice();

  @Option(
      names = "--micro-batch-tokens",
      paramLabel = "N",
      description =
          "The most tokens that go through the model at once, of all tasks together (${DEFAULT-VALUE}).")
  private int maxTokens = 1024;

  @Option(
      names = "--threads",
      paramLabel = "N",
      description = "Threads; as many as processors if not given.")
  private Optional<Integer> threads = Optional.empty();

  @Option(
      names = "--activation-memory",
      paramLabel = "SIZE",
      converter = ByteSize.class,
      description =
          "What may be kept of a forward pass for its backward; what does not fit is computed again (${DEFAULT-VALUE}).")
  private long activationMemory = 1L << 30;

  @Option(
      names = "--backend",
      paramLabel = "NAME",
      description = "Training plugin to use; the best one if not given.")
  private Optional<String> backend = Optional.empty();

  @Mixin private PipelineOptions pipeline = new PipelineOptions();

  @Option(names = "--json", description = "Print what came of the tasks as JSON.")
  private boolean json;

  /**
   * Creates the command.
   *
   * @param mainClass of the command line, for further processes
   */
  public TrainCommand(Console console, String mainClass) {
    this.console = console;
    this.mainClass = mainClass;
  }

  /** Tasks of a file, or one by options. */
  private static final class Choice {
    @Option(
        names = "--tasks",
        required = true,
        paramLabel = "FILE",
        description = "Tasks in YAML or JSON; lorikeet-training's README lists its keys.")
    private Optional<Path> file = Optional.empty();

    @ArgGroup(exclusive = false)
    private TaskOptions one = new TaskOptions();
  }

  /**
   * What came of a task, and its keys in JSON.
   *
   * @param task its name
   * @param adapter where the adapter is; null if there is none
   * @param steps how many it made in this run
   * @param firstLoss of the first step of this run
   * @param lastLoss of the last
   * @param validationLoss behind the last step; null where nothing was held back
   * @param tokens that went through the model
   * @param tokensPerSecond over the whole run
   * @param error why there is no adapter; null if there is
   */
  private record Outcome(
      String task,
      @Nullable String adapter,
      int steps,
      @Nullable Double firstLoss,
      @Nullable Double lastLoss,
      @Nullable Double validationLoss,
      long tokens,
      long tokensPerSecond,
      Json.@Nullable Problem error) {}

  /** What a task has reported so far; written by the trainer's thread. */
  private static final class Progress {
    private int steps;
    private long tokens;
    private @Nullable StepReport first;
    private @Nullable StepReport last;

    synchronized void add(StepReport report) {
      steps++;
      tokens += report.tokens();
      first = first == null ? report : first;
      last = report;
    }
  }

  @Override
  public Integer call() throws IOException, InterruptedException {
    List<TaskFile.Entry> entries;
    try {
      entries =
          choice.file.isPresent() ? TaskFile.read(choice.file.get()) : List.of(choice.one.entry());
    } catch (IllegalArgumentException e) {
      throw new ParameterException(spec.commandLine(), String.valueOf(e.getMessage()), e);
    }
    FineTuning.Builder builder =
        FineTuning.over(new Directories(console).model(model), out)
            .microBatchTokens(maxTokens)
            .activationBytes(activationMemory)
            .baseModel(model.toString());
    String threadsEach = Integer.toString(pipeline.threads(threads));
    builder.option("threads", threadsEach);
    backend.ifPresent(builder::backend);
    List<String> arguments = new ArrayList<>(List.of("--threads", threadsEach));
    backend.ifPresent(name -> arguments.addAll(List.of("--backend", name)));
    pipeline
        .setup(console, mainClass, arguments)
        .ifPresent(setup -> builder.pipeline(setup, console.err()::println));
    try (FineTuning tuning = builder.open()) {
      List<Outcome> outcomes = new ArrayList<>();
      List<FineTuning.Prepared> tasks = new ArrayList<>();
      for (TaskFile.Entry entry : entries) {
        if (isThere(entry.spec().name())) {
          outcomes.add(nothingToDo(entry.spec().name()));
        } else {
          tasks.add(tuning.prepare(entry));
        }
      }
      print(tuning.plan(tasks));
      Files.createDirectories(out);
      return train(tuning, tasks, outcomes);
    }
  }

  private void print(MemoryPlan plan) {
    console
        .err()
        .println(
            "memory: base "
                + ByteSize.text(plan.base())
                + ", adapters "
                + ByteSize.text(plan.adapters())
                + ", gradients "
                + ByteSize.text(plan.gradients())
                + ", optimizers "
                + ByteSize.text(plan.optimizers())
                + ", activations "
                + ByteSize.text(plan.activations())
                + ", together "
                + ByteSize.text(plan.total())
                + ", beside the JVM's own");
  }

  private int train(FineTuning tuning, List<FineTuning.Prepared> tasks, List<Outcome> outcomes)
      throws IOException, InterruptedException {
    List<TaskLog> logs = new ArrayList<>();
    LossPlot plot = new LossPlot();
    long start = System.nanoTime();
    try (TrainingView view = new TrainingView(console)) {
      Map<TrainingTask, Progress> running = new LinkedHashMap<>();
      for (FineTuning.Prepared task : tasks) {
        String name = task.spec().name();
        Progress progress = new Progress();
        view.begin(name, task.spec().steps());
        TaskLog log =
            new TaskLog(
                out.resolve(name + ".jsonl"),
                report -> {
                  progress.add(report);
                  plot.add(report);
                  view.stepped(report);
                });
        logs.add(log);
        running.put(tuning.train(task, log), progress);
      }
      for (Map.Entry<TrainingTask, Progress> task : running.entrySet()) {
        outcomes.add(outcome(task.getKey(), task.getValue(), start));
      }
    } finally {
      logs.forEach(TaskLog::close);
    }
    write(plot);
    print(outcomes);
    return exitCode(outcomes);
  }

  private static int exitCode(List<Outcome> outcomes) {
    int exitCode = ExitCode.OK;
    for (Outcome outcome : outcomes) {
      if (outcome.error() != null) {
        boolean full = outcome.error().code().equals(LorikeetException.Code.STORAGE_FULL.name());
        exitCode = full && exitCode != ExitCode.FAILURE ? ExitCode.STORAGE : ExitCode.FAILURE;
      }
    }
    return exitCode;
  }

  /** Whoever starts a file of tasks again after an interruption wants those that are left. */
  private boolean isThere(String task) {
    return choice.file.isPresent()
        && (Files.exists(out.resolve(task).resolve(PeftAdapterFile.CONFIG))
            || Files.exists(out.resolve(task).resolve(GateWriter.JSON)));
  }

  private Outcome nothingToDo(String task) {
    Path adapter = out.resolve(task);
    console
        .err()
        .println(task + ": " + adapter + " is there already; remove it to learn it once more");
    return new Outcome(task, adapter.toString(), 0, null, null, null, 0, 0, null);
  }

  /** A picture is no reason to fail: a machine without fonts cannot draw one. */
  private void write(LossPlot plot) {
    Path file = out.resolve("losses.svg");
    try {
      plot.write(file);
    } catch (IOException | RuntimeException | LinkageError e) {
      console.err().println("warning: " + file + " could not be drawn: " + e);
    }
  }

  private Outcome outcome(TrainingTask task, Progress progress, long start)
      throws InterruptedException {
    Json.Problem error = null;
    try {
      task.completion().get();
    } catch (ExecutionException e) {
      error =
          e.getCause() instanceof LorikeetException failure
              ? Json.Problem.of(failure)
              : new Json.Problem("INTERNAL", String.valueOf(e.getCause()), null);
    }
    double seconds = (System.nanoTime() - start) / 1e9;
    synchronized (progress) {
      StepReport first = progress.first;
      StepReport last = progress.last;
      return new Outcome(
          task.name(),
          error == null ? out.resolve(task.name()).toString() : null,
          progress.steps,
          first == null ? null : (Double) first.loss(),
          last == null ? null : (Double) last.loss(),
          last == null || last.validationLoss().isEmpty()
              ? null
              : (Double) last.validationLoss().getAsDouble(),
          progress.tokens,
          Math.round(progress.tokens / seconds),
          error);
    }
  }

  private void print(List<Outcome> outcomes) {
    if (json) {
      Json.print(console.out(), outcomes);
      return;
    }
    List<List<String>> rows = new ArrayList<>();
    rows.add(List.of("task", "steps", "loss", "validation", "tokens/s", "adapter"));
    for (Outcome o : outcomes) {
      rows.add(
          List.of(
              o.task(),
              Integer.toString(o.steps()),
              number(o.firstLoss()) + " -> " + number(o.lastLoss()),
              number(o.validationLoss()),
              Long.toString(o.tokensPerSecond()),
              o.error() == null
                  ? Visible.oneLine(String.valueOf(o.adapter()))
                  : o.error().code() + ": " + Visible.oneLine(o.error().message())));
    }
    Table.print(console.out(), rows);
  }

  private static String number(@Nullable Double value) {
    return value == null ? "-" : String.format(Locale.ROOT, "%.4f", value);
  }
}
