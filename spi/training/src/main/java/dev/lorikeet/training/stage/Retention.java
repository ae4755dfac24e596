package dev.lorikeet.training.stage;

/**
 * What a pass keeps for its backward: of every layer its input, and of some layers all that the
 * backward needs; of the others it is computed again.
 *
 * @param keptLayers of how many layers of the stage everything is kept; more than it has is all
 */
public record Retention(int keptLayers) {
  /** Inputs alone. */
  public static final Retention INPUTS = new Retention(0);

  /** Everything. */
  public static final Retention ALL = new Retention(Integer.MAX_VALUE);

  public Retention {
    if (keptLayers < 0) {
      throw new IllegalArgumentException("retention: expected layers >= 0, found " + keptLayers);
    }
  }

  /**
   * Returns the most that fits: so many layers that all passes in flight stay within a budget.
   *
   * @param stage the stage
   * @param tokens of a micro-batch
   * @param passes in flight at once
   * @param budget bytes for all of them; if not even inputs fit, inputs are kept all the same
   */
  public static Retention within(TrainingStage stage, int tokens, int passes, long budget) {
    Retention most = INPUTS;
    for (int layers = 1; layers <= stage.span().layers(); layers++) {
      Retention next = new Retention(layers);
      if (stage.passBytes(tokens, next) > budget / passes) {
        break;
      }
      most = next;
    }
    return most;
  }
}
