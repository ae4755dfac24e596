package dev.lorikeet.model;

import dev.lorikeet.routing.Mixture;
import java.util.List;

/** Which adapters a request uses. */
public sealed interface AdapterChoice {
  /** The base model alone. */
  record None() implements AdapterChoice {}

  /**
   * One adapter.
   *
   * @param adapter its registered name
   */
  record Named(String adapter) implements AdapterChoice {}

  /**
   * A fixed mixture for all tokens.
   *
   * @param mixture the adapters and weights
   */
  record Mixed(Mixture mixture) implements AdapterChoice {}

  /**
   * A mixture for each token, for requests that know better than any router, such as a comparison
   * with the best that routing could reach. All adapters are leased for as long as the request
   * runs.
   *
   * @param mixtures one for each token of the prompt, in order; the last one goes on for generated
   *     tokens. Another number than the prompt has tokens is refused with code {@code
   *     INVALID_REQUEST}
   */
  record PerToken(List<Mixture> mixtures) implements AdapterChoice {
    public PerToken {
      mixtures = List.copyOf(mixtures);
      if (mixtures.isEmpty()) {
        throw new IllegalArgumentException("mixtures: expected at least one");
      }
    }
  }

  /**
   * Whatever a router decides.
   *
   * @param router the router's name
   */
  record Routed(String router) implements AdapterChoice {}
}
