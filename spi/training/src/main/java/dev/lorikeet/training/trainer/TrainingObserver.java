package dev.lorikeet.training.trainer;

import java.nio.file.Path;

/**
 * Is told how a task goes, on the trainer's thread, which waits meanwhile. What it throws ends the
 * task.
 */
public interface TrainingObserver {
  /** Is told nothing. */
  TrainingObserver NONE = report -> {};

  /** A step is made. */
  void stepped(StepReport report);

  /**
   * The state after a step is saved.
   *
   * @param step how many steps the task has made
   * @param directory where the state is, valid until the next one is saved
   */
  default void saved(int step, Path directory) {}
}
