package dev.lorikeet.training.stage;

import dev.lorikeet.shape.ModelShape;

/**
 * Which part of a model a stage is: a run of layers, the embedding in front of them or not, the
 * final norm and the loss behind them or not.
 *
 * @param first the first layer
 * @param end the layer behind the last; may be {@code first} where the stage has another part
 * @param embeds whether the stage takes token ids; else it takes hidden states
 * @param scores whether the stage gives log-probabilities; else it gives hidden states
 */
public record StageSpan(int first, int end, boolean embeds, boolean scores) {
  public StageSpan {
    if (first < 0 || end < first || (end == first && !embeds && !scores)) {
      throw new IllegalArgumentException(
          "stage: expected layers, or the embedding or the loss, found layers "
              + first
              + " to "
              + end);
    }
  }

  /** Returns the whole of a model. */
  public static StageSpan whole(ModelShape shape) {
    return of(0, shape.layers(), shape);
  }

  /** Returns a run of layers, with the embedding before the first and the loss behind the last. */
  public static StageSpan of(int first, int end, ModelShape shape) {
    if (end > shape.layers()) {
      throw new IllegalArgumentException(
          "stage: expected layers up to " + shape.layers() + ", found " + end);
    }
    return new StageSpan(first, end, first == 0, end == shape.layers());
  }

  /** Returns the number of layers. */
  public int layers() {
    return end - first;
  }
}
