package dev.lorikeet.training.trainer;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.shape.ModelShape;
import dev.lorikeet.training.data.Example;
import dev.lorikeet.training.learning.Learner;
import dev.lorikeet.training.learning.StageLearner;
import dev.lorikeet.training.stage.MicroBatch;
import dev.lorikeet.training.stage.OutputGradient;
import dev.lorikeet.training.stage.Retention;
import dev.lorikeet.training.stage.StageOutput;
import dev.lorikeet.training.stage.TrainingStage;
import dev.lorikeet.training.task.TaskSpec;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * Learns many adapters at once over one frozen base. Tasks join and leave at any time; each gets
 * the same losses and the same adapter, bit for bit, whatever others are there.
 *
 * <p>Methods may be called from any thread. The trainer has a thread of its own, which alone uses
 * the stage.
 */
public final class Trainer implements AutoCloseable {
  /*
   * Idea (mLoRA, Ye et al., arXiv 2312.02515). Reading the base's weights and waiting for threads costs as much for few
   * tokens as for many, so what tasks want to compute goes through the model together: a micro-batch takes the next
   * chunk of each task, as many as fit, without padding. Which examples make a chunk depends on the task alone, a
   * micro-batch has at most one chunk of a task, and the stage computes each task's part in the same bits whatever
   * else is there: so a task does not notice the others, but for the time.
   *
   * Order. Tasks of a higher priority first, then those that have waited longest: one that did not fit comes first in
   * the next micro-batch of its priority.
   *
   * Memory for each weight of an adapter: 4 bytes for itself, 4 for its gradient, 8 for AdamW, and 4 more for B, which
   * executors read in another order.
   */
  private final Learner learner;
  private final ModelShape shape;
  private final Thread thread = new Thread(this::loop, "lorikeet-trainer");
  private final AtomicInteger numbers = new AtomicInteger();

  // The trainer's thread's alone.
  private final Map<Integer, JointBatch> underway = new HashMap<>();
  private int entered;

  // Guarded by this.
  private final List<TaskRun> runs = new ArrayList<>();
  private boolean closed;

  /**
   * Starts a trainer on one stage.
   *
   * @param stage the whole model; closed by the caller, after the trainer
   * @param shape of the model
   * @param retention what passes keep for their backward
   */
  public Trainer(TrainingStage stage, ModelShape shape, Retention retention) {
    this(new StageLearner(stage, retention), shape);
  }

  /**
   * Starts a trainer.
   *
   * @param learner what computes; closed with the trainer
   * @param shape of the model
   */
  public Trainer(Learner learner, ModelShape shape) {
    this.learner = learner;
    this.shape = shape;
    thread.setDaemon(true);
    thread.start();
  }

  /**
   * Adds a task. If there are checkpoints of it, it goes on from the last.
   *
   * @param spec what is to be learned
   * @param examples what it learns from
   * @param observer is told how it goes
   * @param output where its files go; empty if only the observer is to know
   * @throws LorikeetException with code {@code INVALID_CONFIG} if the output is there already, or
   *     the checkpoint is another task's; and if the adapter to go on from can't be read
   * @throws IllegalArgumentException if the method does not fit the model
   */
  public TrainingTask submit(
      TaskSpec spec,
      TaskExamples examples,
      TrainingObserver observer,
      Optional<TaskOutput> output) {
    TaskRun run;
    try {
      run =
          new TaskRun(
              numbers.getAndIncrement(),
              spec,
              shape,
              examples,
              observer,
              output,
              learner,
              this::changed);
    } catch (IOException e) {
      throw failed(spec, e);
    }
    synchronized (this) {
      if (!closed) {
        runs.add(run);
        notifyAll();
        return run;
      }
    }
    run.cancel();
    run.release();
    throw new LorikeetException(Code.CLOSED, "the trainer was closed");
  }

  private static LorikeetException failed(TaskSpec spec, IOException e) {
    return LorikeetException.ofFiles("task '" + spec.name() + "'", e);
  }

  private synchronized void changed() {
    notifyAll();
  }

  private void loop() {
    List<TaskRun> ready = new ArrayList<>();
    while (awaitWork(ready)) {
      enter(ready);
      if (!underway.isEmpty()) {
        take();
      }
    }
    learner.close();
    endAll();
  }

  /**
   * Waits until there is something to do, and gives the tasks that are ready, in their order; false
   * after close.
   */
  private synchronized boolean awaitWork(List<TaskRun> ready) {
    while (!closed) {
      for (TaskRun run : List.copyOf(runs)) {
        if (run.hasEnded() && !run.isUnderway()) {
          runs.remove(run);
          leave(run);
          run.release();
        }
      }
      ready.clear();
      runs.stream().filter(TaskRun::isReady).forEach(ready::add);
      if (!ready.isEmpty() || !underway.isEmpty()) {
        ready.sort(Comparator.comparingInt((TaskRun run) -> -run.spec().priority()));
        return true;
      }
      try {
        wait();
      } catch (InterruptedException e) {
        closed = true;
      }
    }
    return false;
  }

  private void leave(TaskRun run) {
    if (run.hasJoined()) {
      try {
        learner.leave(run.number());
      } catch (LorikeetException e) {
        lost(e);
      }
    }
  }

  private synchronized void endAll() {
    for (TaskRun run : runs) {
      run.cancel();
      run.release();
    }
    runs.clear();
  }

  /** Lets in what may enter. */
  private void enter(List<TaskRun> ready) {
    for (TaskRun run : List.copyOf(ready)) {
      if (!run.hasJoined()) {
        try {
          run.join(learner);
        } catch (RuntimeException | Error e) {
          run.fail(told(run, e));
          ready.remove(run);
        }
      }
    }
    int most = mostTasks();
    if (!learner.hasRounds()) {
      while (underway.size() < learner.window() && begin(chosen(ready, most), 0)) {
        ready.removeIf(run -> !run.isReady());
      }
    } else if (underway.isEmpty()) {
      List<List<JointBatch.Part>> round = new ArrayList<>();
      for (List<JointBatch.Part> parts = chosen(ready, most);
          !parts.isEmpty();
          parts = chosen(ready, most)) {
        round.add(parts);
        ready.removeIf(run -> !run.isReady());
      }
      round.forEach(parts -> begin(parts, round.size()));
    }
  }

  /** Returns how many tasks share a micro-batch, so that as many are under way as should be. */
  private synchronized int mostTasks() {
    long running = runs.stream().filter(run -> run.state() == TrainingTask.State.RUNNING).count();
    return (int) Math.max(1, Math.ceilDiv(running, learner.window()));
  }

  /** Returns whose chunks go into the next micro-batch; those that do are last from then on. */
  private List<JointBatch.Part> chosen(List<TaskRun> ready, int most) {
    List<JointBatch.Part> parts = new ArrayList<>();
    int tokens = 0;
    for (TaskRun run : List.copyOf(ready)) {
      if (parts.size() == most) {
        break;
      }
      Optional<Chunk> chunk = next(run);
      if (chunk.isEmpty()) {
        ready.remove(run);
      } else if (tokens + chunk.get().tokens() <= learner.maxTokens()) {
        parts.add(new JointBatch.Part(run, chunk.get(), run.through(), run.entered()));
        tokens += chunk.get().tokens();
        ready.remove(run);
        ready.add(run);
      }
    }
    ready.sort(Comparator.comparingInt((TaskRun run) -> -run.spec().priority()));
    served(parts);
    return parts;
  }

  /** Begins a micro-batch; if it can't be computed, each task's alone, so that others go on. */
  private boolean begin(List<JointBatch.Part> parts, int round) {
    if (parts.isEmpty()) {
      return false;
    }
    try {
      JointBatch joint = JointBatch.of(parts);
      learner.enter(entered, joint.batch(), joint.complete(), round);
      underway.put(entered++, joint);
    } catch (RuntimeException | Error e) {
      if (parts.size() == 1) {
        failed(parts, e);
      } else {
        parts.forEach(part -> begin(List.of(part), round));
      }
    }
    return true;
  }

  private static void failed(List<JointBatch.Part> parts, Throwable e) {
    for (JointBatch.Part part : parts) {
      part.run().left();
      part.run().fail(told(part.run(), e));
    }
  }

  /** Takes what comes out of the learner next. */
  private void take() {
    Learner.Outcome outcome;
    try {
      outcome = learner.next();
    } catch (RuntimeException | Error e) {
      lost(e);
      return;
    }
    switch (outcome) {
      case Learner.Outcome.Scored(int number, StageOutput.LogProbabilities scores) -> {
        JointBatch scored = Objects.requireNonNull(underway.get(number));
        try {
          goBack(number, scored, scores);
        } catch (RuntimeException | Error e) {
          // What of the gradients was added nobody knows.
          underway.remove(number);
          failed(scored.parts(), e);
        }
      }
      case Learner.Outcome.Through(int number, Map<Integer, float[]> weights) -> {
        JointBatch joint = Objects.requireNonNull(underway.remove(number));
        joint.parts().forEach(part -> part.run().left());
        joint.learnGates(weights);
        joint.parts().forEach(part -> step(part.run()));
      }
    }
  }

  /** Ends all tasks, since nothing can be computed any more. */
  private void lost(Throwable e) {
    underway.values().forEach(micro -> failed(micro.parts(), e));
    underway.clear();
    List<TaskRun> all;
    synchronized (this) {
      all = List.copyOf(runs);
    }
    all.stream().filter(run -> !run.hasEnded()).forEach(run -> run.fail(told(run, e)));
  }

  private void goBack(int number, JointBatch scored, StageOutput.LogProbabilities scores) {
    MicroBatch batch = scored.batch();
    OutputGradient.OfLogProbabilities gradient = zero(batch, scores);
    int first = 0;
    for (JointBatch.Part part : scored.parts()) {
      int end = first + part.chunk().sequences();
      if (!part.run().took(part.chunk(), batch, first, end, scores, gradient)) {
        part.run().fail(part.run().notFinite("loss", Double.NaN));
      }
      first = end;
    }
    learner.goBack(number, gradient);
  }

  private static OutputGradient.OfLogProbabilities zero(
      MicroBatch batch, StageOutput.LogProbabilities scores) {
    return new OutputGradient.OfLogProbabilities(
        new float[batch.tokens()], new float[scores.states().length]);
  }

  private void step(TaskRun run) {
    if (run.hasEnded() || !run.isStepComplete()) {
      return;
    }
    try {
      run.makeStep(learner);
      run.report(
          learner,
          run.isValidationDue() ? OptionalDouble.of(validate(run)) : OptionalDouble.empty());
    } catch (IOException e) {
      run.fail(failed(run.spec(), e));
    } catch (RuntimeException | Error e) {
      run.fail(told(run, e));
    }
  }

  /** Returns the loss of the examples that a task is judged by. */
  private double validate(TaskRun run) {
    List<Chunk> chunks = run.validation(learner.maxTokens());
    StepLoss loss = run.lossOf(chunks);
    for (Chunk chunk : chunks) {
      reference(run, run.withoutReference(chunk));
      MicroBatch batch = JointBatch.whole(run, chunk, true);
      StageOutput.LogProbabilities scores = learner.score(batch, true);
      if (!loss.add(
          batch, 0, batch.sequences(), scores, run.referenceOf(chunk), zero(batch, scores))) {
        throw run.notFinite("validation loss", Double.NaN);
      }
    }
    return loss.loss();
  }

  /** Returns the next chunk of a task, with what it needs of the base model; none if it failed. */
  private Optional<Chunk> next(TaskRun run) {
    try {
      Chunk chunk = run.next(learner.maxTokens());
      reference(run, run.withoutReference(chunk));
      return Optional.of(chunk);
    } catch (RuntimeException e) {
      run.fail(told(run, e));
      return Optional.empty();
    }
  }

  /** Computes what the base model says to preferences. */
  private void reference(TaskRun run, List<Example> examples) {
    if (examples.isEmpty()) {
      return;
    }
    MicroBatch batch = JointBatch.whole(run, Chunk.of(examples), false);
    double[] values = learner.score(batch, false).values();
    for (int i = 0; i < examples.size(); i++) {
      run.reference(examples.get(i), batch.sum(2 * i, values), batch.sum(2 * i + 1, values));
    }
  }

  private static Throwable told(TaskRun run, Throwable failure) {
    return failure instanceof LorikeetException
        ? failure
        : new LorikeetException(
            Code.INTERNAL, "task '" + run.name() + "' failed: " + failure, failure);
  }

  /** Lets those that were served wait behind those that were not. */
  private synchronized void served(List<JointBatch.Part> parts) {
    for (JointBatch.Part part : parts) {
      if (runs.remove(part.run())) {
        runs.add(part.run());
      }
    }
  }

  /** Cancels what still runs, and waits for the trainer's thread. Idempotent. */
  @Override
  public void close() {
    synchronized (this) {
      closed = true;
      notifyAll();
    }
    boolean interrupted = false;
    while (true) {
      try {
        thread.join();
        break;
      } catch (InterruptedException e) {
        interrupted = true;
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }
}
