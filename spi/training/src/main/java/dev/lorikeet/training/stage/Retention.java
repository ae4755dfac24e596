package dev.lorikeet.training.stage;

/**
 * What a pass keeps for its backward: of every layer its input, and of some layers all that the
 * backward needs; of the others it is computed again. Or nothing, if there is no backward.
 *
 * @param backward whether there is one
 * @param keptLayers of how many layers of the stage everything is kept; more than it has is all
 */
public record Retention(boolean backward, int keptLayers) {
  /** Nothing, for a pass without backward: to validate, or to score a reference. */
  public static final Retention NOTHING = new Retention(false, 0);

  /** Inputs alone. */
  public static final Retention INPUTS = layers(0);

  /** Everything. */
  public static final Retention ALL = layers(Integer.MAX_VALUE);

  public Retention {
    if (keptLayers < 0 || (keptLayers > 0 && !backward)) {
      throw new IllegalArgumentException(
          "retention: expected layers >= 0, and none without a backward, found " + keptLayers);
    }
  }

  /** Keeps inputs, and everything of so many layers. */
  public static Retention layers(int kept) {
    return new Retention(true, kept);
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
    for (int kept = 1; kept <= stage.span().layers(); kept++) {
      if (stage.passBytes(tokens, layers(kept)) > budget / passes) {
        break;
      }
      most = layers(kept);
    }
    return most;
  }
}
