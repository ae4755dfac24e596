package dev.lorikeet.training.stage;

import dev.lorikeet.shape.ModelInfo;

/** A frozen base model that adapters can be learned over, open. */
public interface TrainableModel extends AutoCloseable {
  /** Returns what is known of the model. */
  ModelInfo info();

  /** Returns the bytes of its weights, be they mapped or in memory. */
  long weightBytes();

  /** Returns the stage that was opened; the same every time, closed with the model. */
  TrainingStage stage();

  /** Releases the model, after all that uses its stage. Idempotent. */
  @Override
  void close();
}
