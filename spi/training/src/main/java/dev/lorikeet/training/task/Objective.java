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

  /**
   * Contrastive instruction tuning (Yan et al., arXiv 2402.11138), as mLoRA has it: {@code G + r
   * C}, over prompts in two wordings each with one completion. G is the mean cross-entropy of the
   * completions' tokens behind both wordings. C is the mean over pairs of
   *
   * <pre>
   *   -1/2 log(exp(s(i,i)) / sum over j of exp(s(i,j))) - 1/2 log(exp(s(i,i)) / sum over j of exp(s(j,i)))
   * </pre>
   *
   * with {@code s(i,j) = cos(h(i), h'(j)) / temperature}, h the hidden state behind the last layer
   * and the final norm of the last token of a prompt, and h' that of its other wording: pairs of a
   * micro-batch tell one another apart. {@code r = min(weight, G / C)} of the micro-batch counts as
   * a constant. mLoRA's code takes what the model gives for the last token but one of the whole
   * sequence; this takes the end of the prompt, where the two differ in the wording alone.
   *
   * @param temperature above 0
   * @param weight the most that C counts, 0 or more
   */
  record Contrastive(double temperature, double weight) implements Objective {
    /** As in mLoRA's example. */
    public static final Contrastive DEFAULT = new Contrastive(2, 1);

    public Contrastive {
      Ranges.above("temperature", temperature, 0);
      Ranges.atLeast("weight", weight, 0);
    }
  }

  /** What an objective learns from. */
  enum Examples {
    /** Sequences. */
    TEXTS,
    /** Prompts with a better and a worse answer. */
    PREFERENCES,
    /** Prompts in two wordings with one completion. */
    PARAPHRASES
  }

  /** Returns what this learns from. */
  default Examples examples() {
    return switch (this) {
      case NextToken() -> Examples.TEXTS;
      case Dpo dpo -> Examples.PREFERENCES;
      case Cpo cpo -> Examples.PREFERENCES;
      case Contrastive contrastive -> Examples.PARAPHRASES;
    };
  }
}
