package dev.lorikeet.training.task;

import dev.lorikeet.tensor.ElementType;
import java.nio.file.Path;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.stream.IntStream;

/**
 * One adapter that is to be learned: all but its examples. Made by {@link #builder}.
 *
 * @param name of the task and of its adapter: letters, digits, {@code . _ -}
 * @param objective what is minimized
 * @param method what the adapter looks like; not used where {@code start} is given
 * @param mixture where several adapters of this method are learned together with a gate
 * @param start a PEFT directory to go on from; not for a mixture
 * @param optimizer how weights change
 * @param learningRate the largest one, above 0
 * @param loraPlusRatio how many times as large it is for B (LoRA+, arXiv 2402.12354), above 0; 1
 *     for plain LoRA
 * @param schedule how it changes over the steps
 * @param maxGradNorm the largest norm of a step's gradient, which is scaled down to it; empty for
 *     none
 * @param steps how many steps, at least 1
 * @param batchSize examples of a micro-batch of this task alone, at least 1
 * @param accumulate how many of those make a step, at least 1
 * @param dropout the probability with which an element of a module's input is left out, from 0 to
 *     below 1; not with DoRA
 * @param seed of the first weights, of the order of examples, and of what is left out
 * @param shuffle whether each pass over the examples has an order of its own
 * @param storedType element type of the adapter's files
 * @param priority among tasks that share a trainer: those with a higher one go first
 * @param checkpointEvery after how many steps the state is saved; 0 for never
 * @param publishEvery after how many steps the adapter as it is then is written, to be served; 0
 *     for at the end alone
 * @param validateEvery after how many steps the loss of the examples to judge by is computed; 0 for
 *     at the end alone
 * @param patience after how many such losses without a new best one the task ends early; 0 for
 *     never
 * @param keepBest whether the adapter with the best of these losses is the task's, not the last
 */
public record TaskSpec(
    String name,
    Objective objective,
    LoraMethod method,
    Optional<Mixture> mixture,
    Optional<Path> start,
    OptimizerSpec optimizer,
    double learningRate,
    double loraPlusRatio,
    Schedule schedule,
    OptionalDouble maxGradNorm,
    int steps,
    int batchSize,
    int accumulate,
    float dropout,
    long seed,
    boolean shuffle,
    ElementType storedType,
    int priority,
    int checkpointEvery,
    int publishEvery,
    int validateEvery,
    int patience,
    boolean keepBest) {
  public TaskSpec {
    if (!name.matches("[A-Za-z0-9._-]{1,128}") || name.startsWith(".")) {
      throw new IllegalArgumentException(
          "task name: expected 1 to 128 letters, digits, '.', '_' or '-', not '.' first, found '"
              + name
              + "'");
    }
    Ranges.above("learning rate", learningRate, 0);
    Ranges.above("LoRA+ ratio", loraPlusRatio, 0);
    maxGradNorm.ifPresent(norm -> Ranges.above("max gradient norm", norm, 0));
    Ranges.atLeast("steps", steps, 1);
    Ranges.atLeast("batch size", batchSize, 1);
    Ranges.atLeast("accumulate", accumulate, 1);
    if ((long) batchSize * accumulate > Integer.MAX_VALUE) {
      throw new IllegalArgumentException(
          "batch size: expected at most "
              + Integer.MAX_VALUE
              + " examples a step, found "
              + (long) batchSize * accumulate);
    }
    Ranges.atLeast("dropout", dropout, 0);
    Ranges.below("dropout", dropout, 1);
    if (dropout > 0 && method.dora()) {
      throw new IllegalArgumentException("dropout: expected 0 with DoRA, found " + dropout);
    }
    if (mixture.isPresent()) {
      checkMixed(objective, method, start);
    }
    Ranges.atLeast("checkpoint every", checkpointEvery, 0);
    Ranges.atLeast("publish every", publishEvery, 0);
    Ranges.atLeast("validate every", validateEvery, 0);
    Ranges.atLeast("early stopping patience", patience, 0);
    if (patience > 0 && validateEvery == 0) {
      throw new IllegalArgumentException(
          "early stopping patience: expected none without 'validate every', found " + patience);
    }
  }

  private static void checkMixed(Objective objective, LoraMethod method, Optional<Path> start) {
    if (!(objective instanceof Objective.NextToken)) {
      throw new IllegalArgumentException(
          "mixture: expected the objective next-token, found " + objective);
    }
    if (method.dora()) {
      throw new IllegalArgumentException("mixture: expected experts without DoRA, found dora");
    }
    if (start.isPresent()) {
      throw new IllegalArgumentException(
          "mixture: expected no adapter to go on from, found " + start.get());
    }
  }

  /**
   * Returns the names of the adapters that are learned: the task's, or with a mixture the task's
   * with {@code -1} behind it, and so on.
   */
  public List<String> adapters() {
    return mixture.isEmpty()
        ? List.of(name)
        : IntStream.rangeClosed(1, mixture.get().experts()).mapToObj(e -> name + "-" + e).toList();
  }

  /** Returns a builder with defaults for all but the name. */
  public static Builder builder(String name) {
    return new Builder(name);
  }

  /** Returns the same task with another number of steps. */
  public TaskSpec withSteps(int value) {
    return new TaskSpec(
        name,
        objective,
        method,
        mixture,
        start,
        optimizer,
        learningRate,
        loraPlusRatio,
        schedule,
        maxGradNorm,
        value,
        batchSize,
        accumulate,
        dropout,
        seed,
        shuffle,
        storedType,
        priority,
        checkpointEvery,
        publishEvery,
        validateEvery,
        patience,
        keepBest);
  }

  /** Returns how many examples a step takes. */
  public int examplesPerStep() {
    return Math.multiplyExact(batchSize, accumulate);
  }

  /** Builds tasks. */
  public static final class Builder {
    private final String name;
    private Objective objective = new Objective.NextToken();
    private LoraMethod method = LoraMethod.DEFAULT;
    private Optional<Mixture> mixture = Optional.empty();
    private Optional<Path> start = Optional.empty();
    private OptimizerSpec optimizer = OptimizerSpec.AdamW.DEFAULT;
    private double learningRate = 2e-4;
    private double loraPlusRatio = 1;
    private Schedule schedule = Schedule.CONSTANT;
    private OptionalDouble maxGradNorm = OptionalDouble.empty();
    private int steps = 100;
    private int batchSize = 4;
    private int accumulate = 1;
    private float dropout;
    private long seed;
    private boolean shuffle = true;
    private ElementType storedType = ElementType.F32;
    private int priority;
    private int checkpointEvery;
    private int publishEvery;
    private int validateEvery;
    private int patience;
    private boolean keepBest;

    private Builder(String name) {
      this.name = Objects.requireNonNull(name, "name");
    }

    /** Sets what is minimized; the cross-entropy of the next token by default. */
    public Builder objective(Objective value) {
      objective = value;
      return this;
    }

    /** Sets what the adapter looks like. */
    public Builder method(LoraMethod value) {
      method = value;
      return this;
    }

    /** Learns several adapters together with a gate that mixes them. */
    public Builder mixture(Mixture value) {
      mixture = Optional.of(value);
      return this;
    }

    /** Goes on from a PEFT directory. */
    public Builder start(Path value) {
      start = Optional.of(value);
      return this;
    }

    /** Sets the optimizer. */
    public Builder optimizer(OptimizerSpec value) {
      optimizer = value;
      return this;
    }

    /** Sets the learning rate; 2e-4 by default. */
    public Builder learningRate(double value) {
      learningRate = value;
      return this;
    }

    /** Sets how many times as large the learning rate of B is. */
    public Builder loraPlusRatio(double value) {
      loraPlusRatio = value;
      return this;
    }

    /** Sets the schedule of the learning rate. */
    public Builder schedule(Schedule value) {
      schedule = value;
      return this;
    }

    /** Sets the largest norm of a gradient. */
    public Builder maxGradNorm(double value) {
      maxGradNorm = OptionalDouble.of(value);
      return this;
    }

    /** Sets how many steps there are; 100 by default. */
    public Builder steps(int value) {
      steps = value;
      return this;
    }

    /** Sets the examples of a micro-batch; 4 by default. */
    public Builder batchSize(int value) {
      batchSize = value;
      return this;
    }

    /** Sets how many micro-batches make a step. */
    public Builder accumulate(int value) {
      accumulate = value;
      return this;
    }

    /** Sets the probability with which an element of a module's input is left out; 0 by default. */
    public Builder dropout(double value) {
      dropout = (float) value;
      return this;
    }

    /** Sets the seed. */
    public Builder seed(long value) {
      seed = value;
      return this;
    }

    /** Sets whether examples are shuffled; true by default. */
    public Builder shuffle(boolean value) {
      shuffle = value;
      return this;
    }

    /** Sets the element type of the files; F32 by default. */
    public Builder storedType(ElementType value) {
      storedType = value;
      return this;
    }

    /** Sets the priority; 0 by default. */
    public Builder priority(int value) {
      priority = value;
      return this;
    }

    /** Sets after how many steps the state is saved. */
    public Builder checkpointEvery(int value) {
      checkpointEvery = value;
      return this;
    }

    /** Sets after how many steps the adapter is written to be served. */
    public Builder publishEvery(int value) {
      publishEvery = value;
      return this;
    }

    /** Sets after how many steps the loss of the examples to judge by is computed. */
    public Builder validateEvery(int value) {
      validateEvery = value;
      return this;
    }

    /** Ends the task early, after so many of these losses without a new best one. */
    public Builder patience(int value) {
      patience = value;
      return this;
    }

    /** Sets whether the adapter with the best of these losses is kept, not the last. */
    public Builder keepBest(boolean value) {
      keepBest = value;
      return this;
    }

    /** Returns the task. */
    public TaskSpec build() {
      return new TaskSpec(
          name,
          objective,
          method,
          mixture,
          start,
          optimizer,
          learningRate,
          loraPlusRatio,
          schedule,
          maxGradNorm,
          steps,
          batchSize,
          accumulate,
          dropout,
          seed,
          shuffle,
          storedType,
          priority,
          checkpointEvery,
          publishEvery,
          validateEvery,
          patience,
          keepBest);
    }
  }
}
