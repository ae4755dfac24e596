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
 * @param layers what differs from layer to layer
 */
public record Attention(
    Norm.OfQueryAndKey norms, OptionalDouble scale, OptionalDouble softCap, List<Layer> layers) {

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

  /** Returns the same with other layers. */
  Attention with(List<Layer> others) {
    return new Attention(norms, scale, softCap, others);
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
