package dev.lorikeet.files.model;

/**
 * Factors on the way through a model.
 *
 * @param embedding of embeddings
 * @param roundedToWeights whether that one is rounded to the type of the embedding matrix first
 * @param residual of what a block adds to the residual stream
 * @param logits of logits
 * @param logitCap logits become {@code cap * tanh(logit / cap)} at last; 0 where they stay
 */
public record Multipliers(
    double embedding, boolean roundedToWeights, double residual, double logits, double logitCap) {
  /** Nothing is multiplied. */
  public static final Multipliers NONE = new Multipliers(1, false, 1, 1, 0);
}
