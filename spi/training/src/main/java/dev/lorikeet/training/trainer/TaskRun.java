package dev.lorikeet.training.trainer;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.adapter.TargetSpec;
import dev.lorikeet.shape.ModelShape;
import dev.lorikeet.training.data.Example;
import dev.lorikeet.training.learning.Learner;
import dev.lorikeet.training.learning.LearningGate;
import dev.lorikeet.training.stage.Dropout;
import dev.lorikeet.training.stage.MicroBatch;
import dev.lorikeet.training.stage.OutputGradient;
import dev.lorikeet.training.stage.StageOutput;
import dev.lorikeet.training.task.Objective;
import dev.lorikeet.training.task.OptimizerSpec;
import dev.lorikeet.training.task.TaskSpec;
import java.io.IOException;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Deque;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Objects;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.concurrent.CompletableFuture;

/** A task on its way, step by step. All but the state is the trainer's thread's alone. */
final class TaskRun implements TrainingTask {
  private final int number;
  private final TaskSpec spec;
  private final ModelShape shape;
  private final TaskExamples examples;
  private final TrainingObserver observer;
  private final TaskFiles files;
  private final Runnable changed;
  private final TaskWeights learned;
  private final BestWeights best;
  private final CompletableFuture<StepReport> completion = new CompletableFuture<>();
  private final Deque<Chunk> chunks = new ArrayDeque<>();
  private final IdentityHashMap<Example, double[]> references = new IdentityHashMap<>();
  private volatile State state = State.RUNNING;

  private boolean joined;
  private int underway;
  private int made;
  private StepLoss loss;
  private int through;
  private long tokens;
  private long labels;
  private double balance;
  private double norm;
  private double rate;

  TaskRun(
      int number,
      TaskSpec spec,
      ModelShape shape,
      TaskExamples examples,
      TrainingObserver observer,
      Optional<TaskOutput> output,
      Learner learner,
      Runnable changed)
      throws IOException {
    this.number = number;
    this.spec = spec;
    this.shape = shape;
    this.examples = examples;
    this.observer = observer;
    this.changed = changed;
    this.loss = new StepLoss(spec.objective(), 1, 1);
    if ((spec.patience() > 0 || spec.keepBest()) && examples.validation().isEmpty()) {
      throw new LorikeetException(
          Code.INVALID_CONFIG,
          "task '"
              + spec.name()
              + "': expected examples to judge by, since it is to end early or to keep the best"
              + " adapter, found none");
    }
    this.files = new TaskFiles(output, spec, shape, observer);
    this.learned = TaskWeights.begin(spec, shape, learner);
    this.best = new BestWeights(learned, spec.keepBest());
    try {
      if (spec.optimizer() instanceof OptimizerSpec.LoraRite) {
        learned.adapters().forEach(a -> a.modules().forEach(module -> refuseBlocks(module.spec())));
      }
      made = files.resume(learned, best);
    } catch (IOException | RuntimeException | Error e) {
      best.close();
      learned.close();
      throw e;
    }
  }

  private void refuseBlocks(TargetSpec module) {
    if (module.aBlocks() > 1 || module.bBlocks() > 1 || module.magnitude()) {
      throw new LorikeetException(
          Code.INVALID_CONFIG,
          "task '"
              + spec.name()
              + "': optimizer: expected another than lora-rite for block-diagonal factors and"
              + " magnitudes, found "
              + module);
    }
  }

  int number() {
    return number;
  }

  TaskSpec spec() {
    return spec;
  }

  /** Returns whether it takes part in micro-batches and has something to compute. */
  boolean isReady() {
    return state == State.RUNNING && (!chunks.isEmpty() || underway == 0);
  }

  /** Returns whether the learner has it. */
  boolean hasJoined() {
    return joined;
  }

  /** Brings it to the learner. */
  void join(Learner learner) {
    learner.join(number, learned.adapters(), spec.optimizer());
    joined = true;
  }

  /** Returns the next chunk, which stays the next until it is {@link #entered}. */
  Chunk next(int maxTokens) {
    if (chunks.isEmpty()) {
      beginStep(maxTokens);
    }
    return chunks.getFirst();
  }

  /**
   * Notes that the next chunk is under way.
   *
   * @return whether it is the last of its step
   */
  boolean entered() {
    through += chunks.removeFirst().sequences();
    underway++;
    return chunks.isEmpty();
  }

  /** Notes that a chunk is under way no more. */
  void left() {
    underway--;
  }

  /** Returns whether a chunk is under way. */
  boolean isUnderway() {
    return underway > 0;
  }

  private void beginStep(int maxTokens) {
    through = 0;
    tokens = 0;
    labels = 0;
    balance = 0;
    long first = (long) made * spec.examplesPerStep();
    for (int batch = 0; batch < spec.accumulate(); batch++) {
      List<Example> together = new ArrayList<>();
      for (int i = 0; i < spec.batchSize(); i++) {
        together.add(examples.training().apply(first + (long) batch * spec.batchSize() + i));
      }
      chunks.addAll(cut(together, maxTokens));
    }
    for (Chunk chunk : chunks) {
      tokens += chunk.tokens();
      labels += chunk.labels();
    }
    loss = lossOf(List.copyOf(chunks));
  }

  private List<Chunk> cut(List<Example> together, int maxTokens) {
    together.forEach(example -> check(example, maxTokens));
    return Chunk.cut(together, maxTokens);
  }

  private void check(Example example, int maxTokens) {
    Objective.Examples expected = spec.objective().examples();
    Objective.Examples found =
        switch (example) {
          case Example.Text text -> Objective.Examples.TEXTS;
          case Example.Preference pair -> Objective.Examples.PREFERENCES;
          case Example.Paraphrase pair -> Objective.Examples.PARAPHRASES;
        };
    if (found != expected) {
      throw new LorikeetException(
          Code.INVALID_CONFIG,
          "task '"
              + spec.name()
              + "': expected "
              + expected.name().toLowerCase(Locale.ROOT)
              + " for this objective, found "
              + found.name().toLowerCase(Locale.ROOT));
    }
    if (example.tokens() > maxTokens) {
      throw new LorikeetException(
          Code.TOO_LARGE,
          "task '"
              + spec.name()
              + "': expected examples of at most "
              + maxTokens
              + " tokens, those of a micro-batch, found one of "
              + example.tokens());
    }
    checkIds(example);
  }

  private void checkIds(Example example) {
    int[][] all =
        switch (example) {
          case Example.Text text -> new int[][] {text.ids()};
          case Example.Preference p -> new int[][] {p.prompt(), p.chosen(), p.rejected()};
          case Example.Paraphrase p -> new int[][] {p.original().ids(), p.paraphrased().ids()};
        };
    for (int[] ids : all) {
      for (int id : ids) {
        if (id < 0 || id >= shape.vocabulary()) {
          throw new LorikeetException(
              Code.INVALID_CONFIG,
              "task '"
                  + spec.name()
                  + "': expected token ids of 0 to "
                  + (shape.vocabulary() - 1)
                  + ", found "
                  + id);
        }
      }
    }
  }

  /** Returns how many sequences of the step have entered. */
  int through() {
    return through;
  }

  /** Returns what a sequence of the step does without. */
  Dropout dropout(int sequence) {
    if (spec.dropout() == 0) {
      return Dropout.NONE;
    }
    long key = Dropout.mix(spec.seed());
    key = Dropout.mix(key ^ made);
    return new Dropout(spec.dropout(), Dropout.mix(key ^ sequence));
  }

  /** Returns which experts the tokens of a micro-batch use that are this task's, if it has any. */
  Optional<LearningGate.Routing> route(MicroBatch batch) {
    return learned.gate().map(gate -> gate.route(batch, number));
  }

  /** Takes what the backward gave for the weights of a mixture. */
  void learnGate(LearningGate.Routing routing, float[] byWeight) {
    learned.gate().orElseThrow().learn(routing, byWeight, tokens);
    balance += routing.balance() * routing.mixture().tokens() / tokens;
  }

  /** Returns the examples of a chunk whose log-probabilities by the base model are not known. */
  List<Example> withoutReference(Chunk chunk) {
    return spec.objective() instanceof Objective.Dpo
        ? chunk.examples().stream().filter(e -> !references.containsKey(e)).distinct().toList()
        : List.of();
  }

  /** Takes the log-probabilities by the base model of both answers of a preference. */
  void reference(Example example, double chosen, double rejected) {
    references.put(example, new double[] {chosen, rejected});
  }

  /**
   * Takes the outcome of a chunk, in the order of entering.
   *
   * @return whether it is finite
   */
  boolean took(
      Chunk chunk,
      MicroBatch batch,
      int first,
      int end,
      StageOutput.LogProbabilities scores,
      OutputGradient.OfLogProbabilities gradient) {
    return loss.add(batch, first, end, scores, referenceOf(chunk), gradient);
  }

  /** Returns the log-probabilities by the base model of a chunk's sequences, if they are needed. */
  double[] referenceOf(Chunk chunk) {
    return spec.objective() instanceof Objective.Dpo
        ? chunk.examples().stream()
            .flatMapToDouble(e -> Arrays.stream(Objects.requireNonNull(references.get(e))))
            .toArray()
        : new double[0];
  }

  /** Returns whether all chunks of the step are through. */
  boolean isStepComplete() {
    return chunks.isEmpty() && underway == 0;
  }

  /** Changes the weights by the gradients of the step. */
  void makeStep(Learner learner) {
    norm = learner.gradientNorm(number);
    if (learned.gate().isPresent()) {
      norm = Math.sqrt(norm * norm + learned.gate().get().squares());
    }
    if (!Double.isFinite(norm)) {
      throw notFinite("gradient norm", norm);
    }
    float scale = 1;
    if (spec.maxGradNorm().isPresent()) {
      scale = (float) Math.min(1, spec.maxGradNorm().getAsDouble() / (norm + 1e-6));
    }
    double factor = spec.schedule().factor(made, spec.steps());
    rate = spec.learningRate() * factor;
    made++;
    double rateB = rate * spec.loraPlusRatio();
    learner.step(number, new Learner.Step(rate, rateB, scale, made));
    if (learned.gate().isPresent()) {
      double most = spec.mixture().orElseThrow().gateLearningRate().orElse(spec.learningRate());
      learned.gate().get().step(most * factor, scale, made);
    }
  }

  /** Returns whether the adapter is to be judged after this step. */
  boolean isValidationDue() {
    return !examples.validation().isEmpty()
        && (made == spec.steps() || (spec.validateEvery() > 0 && made % spec.validateEvery() == 0));
  }

  /** Returns the examples to judge by, in chunks. */
  List<Chunk> validation(int maxTokens) {
    return cut(examples.validation(), maxTokens);
  }

  /** Returns an empty sum of the loss over chunks. */
  StepLoss lossOf(List<Chunk> of) {
    long examplesOf = of.stream().mapToLong(chunk -> chunk.examples().size()).sum();
    long all = of.stream().mapToLong(Chunk::labels).sum();
    return new StepLoss(spec.objective(), all, examplesOf);
  }

  /** Tells of the step that was made, and ends the task or saves it where that is due. */
  void report(Learner learner, OptionalDouble validationLoss) throws IOException {
    Objective.Examples of = spec.objective().examples();
    boolean preferences = of == Objective.Examples.PREFERENCES;
    boolean paraphrases = of == Objective.Examples.PARAPHRASES;
    StepReport report =
        new StepReport(
            spec.name(),
            made,
            spec.steps(),
            loss.loss(),
            tokens,
            labels,
            norm,
            rate,
            preferences ? OptionalDouble.of(loss.margin()) : OptionalDouble.empty(),
            preferences || paraphrases
                ? OptionalDouble.of(loss.accuracy())
                : OptionalDouble.empty(),
            paraphrases ? OptionalDouble.of(loss.contrastive()) : OptionalDouble.empty(),
            learned.gate().isPresent() ? OptionalDouble.of(balance) : OptionalDouble.empty(),
            validationLoss);
    observer.stepped(report);
    if (validationLoss.isPresent() || made == spec.steps() || files.isDue(made)) {
      learner.collect(number);
    }
    validationLoss.ifPresent(best::take);
    if (made == spec.steps() || (spec.patience() > 0 && best.misses() >= spec.patience())) {
      best.restore();
      files.finish(made, learned);
      end(State.FINISHED);
      completion.complete(report);
    } else {
      files.stepped(made, learned, best);
    }
  }

  LorikeetException notFinite(String what, double found) {
    return new LorikeetException(
        Code.NOT_FINITE,
        "task '"
            + spec.name()
            + "': expected a finite "
            + what
            + " at step "
            + (made + 1)
            + ", found "
            + found
            + "; a smaller learning rate or a bound of the gradient norm may help");
  }

  /** Ends the task with a failure. */
  void fail(Throwable failure) {
    end(State.FAILED);
    completion.completeExceptionally(failure);
  }

  private void end(State ended) {
    synchronized (this) {
      if (state != State.CANCELLED) {
        state = ended;
      }
    }
    chunks.clear();
  }

  /** Releases what the task holds, after its end; the learner has it no more. */
  void release() {
    best.close();
    learned.close();
    if (state == State.CANCELLED) {
      completion.completeExceptionally(
          new LorikeetException(Code.CANCELLED, "task '" + spec.name() + "' was cancelled"));
    }
  }

  boolean hasEnded() {
    return state == State.FINISHED || state == State.FAILED || state == State.CANCELLED;
  }

  @Override
  public String name() {
    return spec.name();
  }

  @Override
  public State state() {
    return state;
  }

  @Override
  public void pause() {
    change(State.RUNNING, State.PAUSED);
  }

  @Override
  public void resume() {
    change(State.PAUSED, State.RUNNING);
  }

  private void change(State from, State to) {
    synchronized (this) {
      if (state == from) {
        state = to;
      }
    }
    changed.run();
  }

  @Override
  public void cancel() {
    synchronized (this) {
      if (!hasEnded()) {
        state = State.CANCELLED;
      }
    }
    changed.run();
  }

  @Override
  public CompletableFuture<StepReport> completion() {
    return completion;
  }
}
