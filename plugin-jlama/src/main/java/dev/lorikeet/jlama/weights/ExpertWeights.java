package dev.lorikeet.jlama.weights;

import dev.lorikeet.jlama.kernel.WeightMatrix;
import java.util.List;

/**
 * The weights of the experts of a layer.
 *
 * @param router {@code [experts, hidden]}
 * @param experts each expert's
 */
public record ExpertWeights(WeightMatrix router, List<Expert> experts) {
  public ExpertWeights {
    experts = List.copyOf(experts);
  }

  /**
   * An expert.
   *
   * @param gate {@code [intermediate, hidden]}
   * @param up {@code [intermediate, hidden]}
   * @param down {@code [hidden, intermediate]}
   */
  public record Expert(WeightMatrix gate, WeightMatrix up, WeightMatrix down) {}
}
