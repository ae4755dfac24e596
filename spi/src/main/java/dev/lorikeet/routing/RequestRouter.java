package dev.lorikeet.routing;

/** Chooses a mixture of adapters once per request, before it is queued. */
public non-sealed interface RequestRouter extends Router {
  /**
   * Chooses.
   *
   * @param context what is known of the request
   * @return the mixture: at most 16 adapters, all registered, each once, with finite weights;
   *     {@link Mixture#none()} for the base model alone
   */
  Mixture route(RequestContext context);
}
