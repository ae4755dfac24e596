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

  /**
   * The adapter after a step is written and can be served.
   *
   * @param step how many steps the task has made
   * @param adapter a PEFT directory, or of a mixture a directory with a PEFT directory for each
   *     expert and the gate beside them, valid until the next one is published or, if there is
   *     none, as long as the checkpoints; the last one is the task's output, and stays
   */
  default void published(int step, Path adapter) {}
}
