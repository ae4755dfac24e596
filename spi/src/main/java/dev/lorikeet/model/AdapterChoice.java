package dev.lorikeet.model;

import dev.lorikeet.routing.Mixture;

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
   * Whatever a router decides.
   *
   * @param router the router's name
   */
  record Routed(String router) implements AdapterChoice {}
}
