package dev.lorikeet.routing;

/** Chooses experts for each token anew at every layer, as mixture-of-experts LoRA does. */
public non-sealed interface LayerRouter extends Router {
  /** Returns the adapters to choose among; the same every time and for all layers. */
  Experts experts();

  /**
   * Decides for some tokens at the layer {@link RoutingInput#layer()}. The decision for a token
   * must depend on the layer and that token's rows alone.
   *
   * @param in the tokens; valid during the call
   * @param out where decisions go; valid during the call
   */
  void route(RoutingInput in, RoutingOutput out);
}
