package dev.lorikeet.files.model;

/**
 * How rows are normalized.
 *
 * @param kind by what
 * @param epsilon added to the mean of the squares, or to the variance
 * @param weightOffset what is added to a stored weight before it is used
 */
public record Norm(Kind kind, double epsilon, double weightOffset) {
  /** By what a row is divided. */
  public enum Kind {
    /** The root of the mean of the squares; a weight (arXiv 1910.07467). */
    RMS,
    /** The standard deviation, after the mean is taken off; a weight and a bias (1607.06450). */
    LAYER
  }

  /** Where a layer may have a norm. */
  public enum Place {
    /** Before attention. */
    ATTENTION_INPUT,
    /** On what attention adds to the residual stream. */
    ATTENTION_OUTPUT,
    /** Before the MLP. */
    MLP_INPUT,
    /** On what the MLP adds to the residual stream. */
    MLP_OUTPUT
  }

  /** Which part of queries and keys goes through a norm of its own before it is rotated. */
  public enum OfQueryAndKey {
    /** None. */
    NONE,
    /** Each head by itself. */
    HEADS,
    /** The whole row. */
    ROWS
  }
}
