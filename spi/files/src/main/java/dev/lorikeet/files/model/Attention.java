package dev.lorikeet.files.model;

import java.util.List;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.OptionalInt;

/**
 * How tokens see one another.
 *
 * @param norms which norms queries and keys have
 * @param scale the factor of the scores; empty for {@code 1 / sqrt(headDim)}
 * @param softCap scores become {@code cap * tanh(score / cap)}; empty where they stay as they are
 * @param queryScaling how queries grow with their positions, if they do
 * @param layers what differs from layer to layer
 */
public record Attention(
    Norm.OfQueryAndKey norms,
    OptionalDouble scale,
    OptionalDouble softCap,
    Optional<QueryScaling> queryScaling,
    List<Layer> layers) {

  public Attention {
    layers = List.copyOf(layers);
  }

  /**
   * What differs from layer to layer.
   *
   * @param window how many positions, itself the last, a token sees, where that is fewer than all
   * @param rope how queries and keys are rotated; empty where they are not
   */
  public record Layer(OptionalInt window, Optional<Rope> rope) {}

  /**
   * A factor on rotated queries that grows with their positions, by steps: {@code 1 + beta * log(1
   * + floor(position / positions))}. Llama 4 and Ministral 3 sharpen attention so where sequences
   * are longer than those of the first training.
   *
   * @param beta how much
   * @param positions the length of the first training, up to which the factor is 1
   */
  public record QueryScaling(double beta, int positions) {
    /** Returns the factor of a position. */
    public double at(int position) {
      return 1 + beta * Math.log1p(Math.floorDiv(position, positions));
    }
  }

  /** Returns the same with other layers. */
  Attention with(List<Layer> others) {
    return new Attention(norms, scale, softCap, queryScaling, others);
  }

  /** Returns the window that all layers have, if it is one for all. */
  public OptionalInt commonWindow() {
    OptionalInt first = layers.getFirst().window();
    return layers.stream().allMatch(layer -> layer.window().equals(first))
        ? first
        : OptionalInt.empty();
  }

  /** Returns the ways in which layers rotate, each once. */
  public List<Rope> ropes() {
    return layers.stream().flatMap(layer -> layer.rope().stream()).distinct().toList();
  }
}
