package dev.lorikeet.training.stage;

/**
 * A micro-batch on its way through a stage: what its forward gave, and what its backward needs.
 * Made by {@link TrainingStage#forward}; several may be in flight. Used by the thread that uses the
 * stage.
 */
public interface TrainingPass extends AutoCloseable {
  /** Returns the micro-batch. */
  MicroBatch batch();

  /** Returns what the forward gave. */
  StageOutput output();

  /**
   * Gives back what the pass holds, the output's and the gradients' memory included, whether its
   * backward has run or not. Idempotent.
   */
  @Override
  void close();
}
