package dev.lorikeet.training;

import dev.lorikeet.Lorikeet;
import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.host.ClosingStack;
import dev.lorikeet.model.BaseModel;
import dev.lorikeet.text.ChatTemplate;
import dev.lorikeet.text.HfTokenizer;
import dev.lorikeet.training.data.Example;
import dev.lorikeet.training.data.ExampleOrder;
import dev.lorikeet.training.data.ExampleReader;
import dev.lorikeet.training.data.ExampleSplit;
import dev.lorikeet.training.learning.Learner;
import dev.lorikeet.training.learning.StageLearner;
import dev.lorikeet.training.pipeline.PipelineSetup;
import dev.lorikeet.training.pipeline.ProcessPipeline;
import dev.lorikeet.training.stage.Retention;
import dev.lorikeet.training.stage.TrainableModel;
import dev.lorikeet.training.stage.TrainableModelProvider;
import dev.lorikeet.training.task.TaskFile;
import dev.lorikeet.training.task.TaskSpec;
import dev.lorikeet.training.trainer.MemoryPlan;
import dev.lorikeet.training.trainer.TaskExamples;
import dev.lorikeet.training.trainer.TaskOutput;
import dev.lorikeet.training.trainer.Trainer;
import dev.lorikeet.training.trainer.TrainingObserver;
import dev.lorikeet.training.trainer.TrainingTask;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Consumer;

/**
 * Learns adapters from files of examples, as many at once as there are tasks: over a model that is
 * served, where they can be served as soon as they are written, or over one of its own.
 * Thread-safe.
 *
 * <pre>{@code
 * try (Lorikeet lorikeet = Lorikeet.open(model);
 *     FineTuning tuning = FineTuning.over(lorikeet, adapters).open()) {
 *   TrainingTask task = tuning.train(TaskSpec.builder("support").steps(200).build(), examples);
 *   task.completion().join();
 *   String answer = lorikeet.generate("Dear customer,", "support");
 * }
 * }</pre>
 */
public final class FineTuning implements AutoCloseable {
  private final TrainableModel model;
  private final Optional<Lorikeet> served;
  private final Path output;
  private final Optional<String> baseModel;
  private final Retention retention;
  private final Trainer trainer;
  private final ExampleFiles files;
  private final ClosingStack resources;

  private FineTuning(Builder builder, ClosingStack resources) {
    Optional<ProcessPipeline> stages = builder.pipeline.map(p -> resources.push(builder.open(p)));
    this.model = stages.isPresent() ? stages.get().model() : resources.push(builder.openModel());
    this.served = builder.served;
    this.output = builder.output;
    this.baseModel = builder.baseModel;
    this.resources = resources;
    retention = Retention.within(model.stage(), model.stage().maxTokens(), 1, builder.activations);
    Path directory = model.info().directory();
    files =
        resources.push(
            new ExampleFiles(
                HfTokenizer.open(directory),
                ChatTemplate.read(directory),
                model.info().shape().vocabulary(),
                Math.min(model.stage().maxTokens(), model.info().maxPositions())));
    Learner learner =
        stages.isPresent() ? stages.get().learner() : new StageLearner(model.stage(), retention);
    trainer = resources.push(new Trainer(learner, model.info().shape()));
  }

  /**
   * Learns over a model that is served, with its weights; steps of serving and of training take
   * turns. Adapters are registered under their task's name, experts under theirs, as they are
   * published, in the end at least. Close it before the model.
   *
   * @param output the directory in which each adapter is written, by its task's name
   */
  public static Builder over(Lorikeet lorikeet, Path output) {
    return new Builder(Optional.of(lorikeet), lorikeet.model().info().directory(), output);
  }

  /**
   * Learns over a model of its own.
   *
   * @param model a Hugging Face model directory
   * @param output the directory in which each adapter is written, by its task's name
   */
  public static Builder over(Path model, Path output) {
    return new Builder(Optional.empty(), model, output);
  }

  /** Opens a model for fine-tuning. */
  public static final class Builder {
    private final Optional<Lorikeet> served;
    private final Path directory;
    private final Path output;
    private final Map<String, String> options = new LinkedHashMap<>();
    private Optional<String> baseModel = Optional.empty();
    private Optional<String> backend = Optional.empty();
    private int maxTokens = 1024;
    private long activations = 1L << 30;
    private double share = 0.25;
    private Optional<PipelineSetup> pipeline = Optional.empty();
    private Consumer<String> says = text -> {};

    private Builder(Optional<Lorikeet> served, Path directory, Path output) {
      this.served = served;
      this.directory = directory;
      this.output = output;
    }

    /** Sets the most tokens that go through the model at once, of all tasks; 1,024 by default. */
    public Builder microBatchTokens(int value) {
      maxTokens = value;
      return this;
    }

    /**
     * Sets what may be kept of a forward pass for its backward, in bytes; what does not fit is
     * computed again. 1 GiB by default.
     */
    public Builder activationBytes(long value) {
      activations = value;
      return this;
    }

    /**
     * Sets which share of the time training has while the model serves requests, above 0 and below
     * 1; 0.25 by default. Of no effect for a model of its own.
     */
    public Builder share(double value) {
      share = value;
      return this;
    }

    /** Chooses the training plugin by name, for a model of its own. */
    public Builder backend(String name) {
      backend = Optional.of(name);
      return this;
    }

    /** Sets an option of the training plugin, such as {@code threads}. */
    public Builder option(String key, String value) {
      options.put(key, value);
      return this;
    }

    /** Sets what adapters call their base model, for PEFT; by default they do not. */
    public Builder baseModel(String nameOrPath) {
      baseModel = Optional.of(nameOrPath);
      return this;
    }

    /**
     * Learns over a pipeline of processes, each with a part of the model, for a model of its own.
     *
     * @param setup which processes
     * @param listener hears how the model was cut
     */
    public Builder pipeline(PipelineSetup setup, Consumer<String> listener) {
      pipeline = Optional.of(setup);
      says = listener;
      return this;
    }

    /**
     * Opens it.
     *
     * @throws LorikeetException if the model can't be read, with code {@code PLUGIN_UNAVAILABLE} if
     *     no plugin can learn over it, or {@code INVALID_CONFIG} for an option
     */
    public FineTuning open() {
      ClosingStack resources = new ClosingStack();
      try {
        return new FineTuning(this, resources);
      } catch (IllegalArgumentException e) {
        resources.close();
        throw new LorikeetException(Code.INVALID_CONFIG, String.valueOf(e.getMessage()), e);
      } catch (RuntimeException | Error e) {
        resources.close();
        throw e;
      }
    }

    private ProcessPipeline open(PipelineSetup setup) {
      if (served.isPresent()) {
        throw new IllegalArgumentException(
            "pipeline: expected a model of its own, found one that is served");
      }
      TrainableModelProvider provider = TrainableModelProvider.find(backend);
      return ProcessPipeline.open(
          setup,
          new ProcessPipeline.Base(
              directory,
              span -> provider.open(directory, span, maxTokens, options),
              maxTokens,
              activations,
              Optional.empty()),
          says);
    }

    private TrainableModel openModel() {
      if (served.isEmpty()) {
        return TrainableModelProvider.find(backend).open(directory, maxTokens, options);
      }
      BaseModel model = served.get().model();
      return TrainableModelProvider.all(backend).stream()
          .flatMap(provider -> provider.shared(model).stream())
          .findFirst()
          .orElseThrow(
              () ->
                  new LorikeetException(
                      Code.PLUGIN_UNAVAILABLE,
                      "fine-tuning: expected a base model whose plugin lets adapters be learned"
                          + " over what it serves, found one that does not"))
          .open(maxTokens, options, share);
    }
  }

  /**
   * A task with its examples.
   *
   * @param spec with as many steps as the examples need
   * @param examples read and encoded
   */
  public record Prepared(TaskSpec spec, TaskExamples examples) {}

  /**
   * Reads the examples of a task; a task is in the trainer only once it is {@linkplain #train(
   * Prepared, TrainingObserver) handed over}.
   *
   * @throws LorikeetException with code {@code DATA_INVALID} that names file and lines, or {@code
   *     IO_FAILED}
   */
  public Prepared prepare(TaskFile.Entry entry) {
    ExampleReader reader = files.reader(entry);
    List<Example> all = files.read(reader, entry.data());
    ExampleSplit split =
        switch (entry.validation()) {
          case TaskFile.Validation.None() -> new ExampleSplit(all, List.of());
          case TaskFile.Validation.File(Path file) ->
              new ExampleSplit(all, files.read(reader, file));
          case TaskFile.Validation.Fraction(double fraction) ->
              ExampleSplit.of(all, fraction, entry.spec().seed());
        };
    List<Example> training = split.training();
    TaskSpec spec = entry.spec(training.size());
    ExampleOrder order = new ExampleOrder(spec.seed(), spec.shuffle(), training.size());
    return new Prepared(
        spec, new TaskExamples(n -> training.get(order.example(n)), split.validation()));
  }

  /** Returns what memory tasks will take, all at once. */
  public MemoryPlan plan(List<Prepared> tasks) {
    return MemoryPlan.of(model, retention, tasks.stream().map(Prepared::spec).toList());
  }

  /**
   * Learns an adapter from a file of examples; goes on from its last checkpoint, if there is one.
   *
   * @throws LorikeetException as {@link #prepare} and {@link #train(Prepared, TrainingObserver)}
   */
  public TrainingTask train(TaskSpec spec, Path examples) {
    return train(prepare(TaskFile.Entry.of(spec, examples)), TrainingObserver.NONE);
  }

  /**
   * Learns an adapter; goes on from its last checkpoint, if there is one.
   *
   * @param observer is told how it goes
   * @throws LorikeetException with code {@code INVALID_CONFIG} if there is something where the
   *     adapter is to go or the checkpoint is another task's, {@code IO_FAILED}, or {@code CLOSED}
   */
  public TrainingTask train(Prepared task, TrainingObserver observer) {
    if (served.isPresent() && task.spec().method().dora()) {
      throw new LorikeetException(
          Code.INVALID_CONFIG,
          "task '"
              + task.spec().name()
              + "': expected a method whose adapters can be served, found dora; learn it over the"
              + " model's directory");
    }
    try {
      Files.createDirectories(output);
    } catch (IOException e) {
      throw LorikeetException.ofFiles(output.toString(), e);
    }
    String name = task.spec().name();
    return trainer.submit(
        task.spec(),
        task.examples(),
        served.isPresent() ? new Publishing(served.get(), task.spec(), observer) : observer,
        Optional.of(new TaskOutput(output.resolve(name), baseModel)));
  }

  /** Cancels what still runs, and releases everything. Idempotent. */
  @Override
  public void close() {
    resources.close();
  }
}
