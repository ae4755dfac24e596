package dev.lorikeet.model;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.routing.Mixture;
import java.util.List;

/** Which adapters a request uses. */
public sealed interface AdapterChoice {
  /** Returns the choice of the base model alone. */
  static AdapterChoice none() {
    return new None();
  }

  /** Returns the choice of one adapter by its registered name. */
  static AdapterChoice named(String adapter) {
    return new Named(adapter);
  }

  /** Returns the choice of a fixed mixture for all tokens. */
  static AdapterChoice mixed(Mixture mixture) {
    return new Mixed(mixture);
  }

  /** Returns the choice of a fixed mixture of these shares for all tokens. */
  static AdapterChoice mixed(Mixture.Share... shares) {
    return new Mixed(Mixture.of(shares));
  }

  /** Returns the choice of a mixture for each token of the prompt. */
  static AdapterChoice perToken(List<Mixture> mixtures) {
    return new PerToken(mixtures);
  }

  /** Returns the choice to let a router choose, by its name. */
  static AdapterChoice routed(String router) {
    return new Routed(router);
  }

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
        throw new LorikeetException(
            Code.INVALID_REQUEST, "mixtures: expected at least one, found none");
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
