package dev.lorikeet.conformance;

import dev.lorikeet.conformance.router.RouterRules;
import dev.lorikeet.routing.Router;
import dev.lorikeet.routing.RouterConfig;
import dev.lorikeet.routing.RouterProvider;
import java.util.Optional;

/**
 * Rules R1 to R11 as tests, for routers of every scope. Extend it with {@link #createRouter};
 * override {@link #provider} to have the provider's rules checked as well.
 */
public abstract class RouterConformance extends RouterRules {
  /** For subclasses. */
  protected RouterConformance() {}

  /**
   * Opens a router that the suite closes.
   *
   * @param config a base model of hidden width 64 and three layers, and {@link #options}
   */
  @Override
  protected abstract Router createRouter(RouterConfig config);

  /** Returns the provider of the router, if the provider's rules are to be checked. */
  @Override
  protected Optional<RouterProvider> provider() {
    return Optional.empty();
  }
}
