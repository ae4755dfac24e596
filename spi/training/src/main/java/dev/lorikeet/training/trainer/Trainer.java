package dev.lorikeet.training.trainer;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.adapter.AdapterLease;
import dev.lorikeet.executor.FactorGradients;
import dev.lorikeet.executor.LoraBatch;
import dev.lorikeet.shape.ModelShape;
import dev.lorikeet.shape.TargetModule;
import dev.lorikeet.training.data.Example;
import dev.lorikeet.training.stage.LearnedGradients;
import dev.lorikeet.training.stage.MicroBatch;
import dev.lorikeet.training.stage.OutputGradient;
import dev.lorikeet.training.stage.Retention;
import dev.lorikeet.training.stage.StageOutput;
import dev.lorikeet.training.stage.TrainingPass;
import dev.lorikeet.training.stage.TrainingStage;
import dev.lorikeet.training.task.TaskSpec;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
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
  private final TrainingStage stage;
  private final ModelShape shape;
  private final Retention retention;
  private final Thread thread = new Thread(this::loop, "lorikeet-trainer");
  private final AtomicInteger numbers = new AtomicInteger();
  private final LoraBatch lora = new LoraBatch();

  // Guarded by this.
  private final List<TaskRun> runs = new ArrayList<>();
  private boolean closed;

  /**
   * Starts a trainer.
   *
   * @param stage the whole model; closed by the caller, after the trainer
   * @param shape of the model
   * @param retention what passes keep for their backward
   */
  public Trainer(TrainingStage stage, ModelShape shape, Retention retention) {
    if (!stage.span().embeds() || !stage.span().scores()) {
      throw new IllegalArgumentException(
          "trainer: expected a stage from the embedding to the loss, found " + stage.span());
    }
    this.stage = stage;
    this.shape = shape;
    this.retention = retention;
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
              stage::rowNorms,
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
      compute(chosen(ready));
    }
  }

  /** Waits until a task is ready, and gives all that are, in their order; false after close. */
  private synchronized boolean awaitWork(List<TaskRun> ready) {
    while (true) {
      for (TaskRun run : List.copyOf(runs)) {
        if (closed) {
          run.cancel();
        }
        if (run.hasEnded()) {
          runs.remove(run);
          run.release();
        }
      }
      if (closed) {
        return false;
      }
      ready.clear();
      runs.stream().filter(run -> run.state() == TrainingTask.State.RUNNING).forEach(ready::add);
      if (!ready.isEmpty()) {
        ready.sort(Comparator.comparingInt((TaskRun run) -> -run.spec().priority()));
        return true;
      }
      try {
        wait();
      } catch (InterruptedException e) {
        closed = true;
      }
    }
  }

  /** A task's part of a micro-batch. */
  private record Part(TaskRun run, Chunk chunk) {}

  /** Returns whose chunks go into the next micro-batch. */
  private List<Part> chosen(List<TaskRun> ready) {
    List<Part> parts = new ArrayList<>();
    int tokens = 0;
    for (TaskRun run : ready) {
      Optional<Chunk> chunk = next(run);
      if (chunk.isPresent() && tokens + chunk.get().tokens() <= stage.maxTokens()) {
        parts.add(new Part(run, chunk.get()));
        tokens += chunk.get().tokens();
      }
    }
    served(parts);
    return parts;
  }

  /** Computes a micro-batch; if it can't be, each task alone, so that others go on. */
  private void compute(List<Part> parts) {
    if (parts.isEmpty()) {
      return;
    }
    MicroBatch.Builder builder = MicroBatch.builder();
    for (Part part : parts) {
      part.chunk().addTo(builder, part.run().number(), part.run()::dropout);
    }
    MicroBatch batch = builder.build();
    batch.fill(lora, task -> Optional.of(runOf(parts, task).adapter()));
    TrainingPass pass;
    try {
      pass = stage.forward(batch, lora, Optional.empty(), retention);
    } catch (RuntimeException | Error e) {
      if (parts.size() == 1) {
        parts.getFirst().run().fail(told(parts.getFirst().run(), e));
      } else {
        parts.forEach(part -> compute(List.of(part)));
      }
      return;
    }
    try (pass) {
      backward(parts, batch, pass);
    } catch (RuntimeException | Error e) {
      // What of the gradients was added nobody knows.
      parts.forEach(part -> part.run().fail(told(part.run(), e)));
    }
    parts.forEach(part -> step(part.run()));
  }

  private void backward(List<Part> parts, MicroBatch batch, TrainingPass pass) {
    double[] values = ((StageOutput.LogProbabilities) pass.output()).values();
    float[] coefficients = new float[batch.tokens()];
    int first = 0;
    for (Part part : parts) {
      int end = first + part.chunk().sequences();
      if (!part.run().took(part.chunk(), batch, first, end, values, coefficients)) {
        part.run().fail(part.run().notFinite("loss", Double.NaN));
      }
      first = end;
    }
    stage.backward(
        pass,
        new OutputGradient.OfLogProbabilities(coefficients),
        LearnedGradients.of(Trainer::sums)
            .withMagnitudes(
                (adapter, target) -> ((LearningAdapter) adapter).magnitudeSums(target)));
  }

  private void step(TaskRun run) {
    if (run.hasEnded() || !run.isStepComplete()) {
      return;
    }
    try {
      run.makeStep(stage.workers());
      run.report(run.isValidationDue() ? OptionalDouble.of(validate(run)) : OptionalDouble.empty());
    } catch (IOException e) {
      run.fail(failed(run.spec(), e));
    } catch (RuntimeException | Error e) {
      run.fail(told(run, e));
    }
  }

  /** Returns the loss of the examples that a task is judged by. */
  private double validate(TaskRun run) {
    List<Chunk> chunks = run.validation(stage.maxTokens());
    StepLoss loss = run.lossOf(chunks);
    for (Chunk chunk : chunks) {
      reference(run, run.withoutReference(chunk));
      MicroBatch batch = batch(run, chunk);
      double[] values = score(batch, Optional.of(run.adapter()));
      float[] unused = new float[batch.tokens()];
      if (!loss.add(batch, 0, batch.sequences(), values, run.referenceOf(chunk), unused)) {
        throw run.notFinite("validation loss", Double.NaN);
      }
    }
    return loss.loss();
  }

  private static MicroBatch batch(TaskRun run, Chunk chunk) {
    MicroBatch.Builder builder = MicroBatch.builder();
    chunk.addTo(builder, run.number());
    return builder.build();
  }

  /** Returns the log-probabilities of a micro-batch, of which there will be no backward. */
  private double[] score(MicroBatch batch, Optional<AdapterLease> adapter) {
    batch.fill(lora, task -> adapter);
    try (TrainingPass pass = stage.forward(batch, lora, Optional.empty(), Retention.NOTHING)) {
      return ((StageOutput.LogProbabilities) pass.output()).values();
    }
  }

  private static TaskRun runOf(List<Part> parts, int number) {
    return parts.stream()
        .map(Part::run)
        .filter(run -> run.number() == number)
        .findFirst()
        .orElseThrow();
  }

  private static Optional<FactorGradients.Sums> sums(AdapterLease adapter, TargetModule target) {
    return ((LearningAdapter) adapter).sums(target);
  }

  /** Returns the next chunk of a task, with what it needs of the base model; none if it failed. */
  private Optional<Chunk> next(TaskRun run) {
    try {
      Chunk chunk = run.next(stage.maxTokens());
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
    MicroBatch batch = batch(run, Chunk.of(examples));
    double[] values = score(batch, Optional.empty());
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
  private synchronized void served(List<Part> parts) {
    for (Part part : parts) {
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
