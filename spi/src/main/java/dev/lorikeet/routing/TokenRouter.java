package dev.lorikeet.routing;

/**
 * Chooses experts once per token, before the first layer; the decision holds for every layer and
 * projection. Prompt tokens are routed too.
 */
public non-sealed interface TokenRouter extends Router {
  /** Returns the adapters to choose among; the same every time. */
  Experts experts();

  /** Returns what the router wants to know of a sequence's past; the same every time. */
  default RunningContext context() {
    return new RunningContext.None();
  }

  /**
   * Decides for some tokens. The decision for a token must depend on that token's rows alone.
   *
   * @param in the tokens; valid during the call
   * @param out where decisions go; valid during the call
   */
  void route(RoutingInput in, RoutingOutput out);
}
