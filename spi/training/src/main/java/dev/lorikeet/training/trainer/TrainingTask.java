package dev.lorikeet.training.trainer;

import java.util.concurrent.CompletableFuture;

/** A task in a trainer. Safe for use by any number of threads. */
public interface TrainingTask {
  /** How a task stands. */
  enum State {
    /** It takes part in micro-batches. */
    RUNNING,
    /** It stands still until it is resumed. */
    PAUSED,
    /** All steps are made, and the adapter is written. */
    FINISHED,
    /** It was given up, by whoever wanted it. */
    CANCELLED,
    /** It failed; its last checkpoint, if any, is where it was. */
    FAILED
  }

  /** Returns the name of the task. */
  String name();

  /** Returns how the task stands. */
  State state();

  /** Stands still between two micro-batches, until {@link #resume}. */
  void pause();

  /** Goes on after {@link #pause}. */
  void resume();

  /** Gives up; what was saved stays. */
  void cancel();

  /**
   * Returns the end: the last step's report; or a failure, a {@code LorikeetException}, with code
   * {@code CANCELLED} for a task that was given up.
   */
  CompletableFuture<StepReport> completion();
}
