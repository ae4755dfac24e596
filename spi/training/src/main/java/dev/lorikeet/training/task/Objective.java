package dev.lorikeet.training.task;

/** What a task minimizes. */
public sealed interface Objective {
  /** The mean cross-entropy of the tokens with a label. */
  record NextToken() implements Objective {}

  /**
   * Direct preference optimization (Rafailov et al., arXiv 2305.18290): the mean over pairs of
   * {@code -log sigmoid(beta * ((c - c0) - (r - r0)))}, with the log-probabilities of the chosen
   * and the rejected answer by the model and, with 0, by the base model.
   *
   * @param beta above 0
   */
  record Dpo(double beta) implements Objective {
    public Dpo {
      Ranges.above("beta", beta, 0);
    }
  }

  /**
   * Contrastive preference optimization (Xu et al., arXiv 2401.08417): the mean over pairs of
   * {@code -log sigmoid(beta * (c - r)) - weight * c / tokens of c}; no reference model.
   *
   * @param beta above 0
   * @param weight of the chosen answer's likelihood, 0 or more
   */
  record Cpo(double beta, double weight) implements Objective {
    public Cpo {
      Ranges.above("beta", beta, 0);
      Ranges.atLeast("weight", weight, 0);
    }
  }

  /** Returns whether this learns from preferences rather than from texts. */
  default boolean takesPreferences() {
    return !(this instanceof NextToken);
  }
}
