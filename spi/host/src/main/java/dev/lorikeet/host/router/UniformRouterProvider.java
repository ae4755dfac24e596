package dev.lorikeet.host.router;

import dev.lorikeet.plugin.Availability;
import dev.lorikeet.plugin.Options;
import dev.lorikeet.routing.Experts;
import dev.lorikeet.routing.Router;
import dev.lorikeet.routing.RouterConfig;
import dev.lorikeet.routing.RouterProvider;
import dev.lorikeet.routing.RoutingInput;
import dev.lorikeet.routing.RoutingOutput;
import dev.lorikeet.routing.TokenRouter;
import java.util.List;

/**
 * The router {@code uniform}: every token uses all of some adapters with equal weights that sum to
 * one; what trained routers are compared with. Option: {@code adapters}, names separated by commas.
 */
public final class UniformRouterProvider implements RouterProvider {
  private static final String ADAPTERS = "adapters";

  /** For {@link java.util.ServiceLoader}. */
  public UniformRouterProvider() {}

  @Override
  public String name() {
    return "uniform";
  }

  @Override
  public Availability availability() {
    return Availability.available("equal weights, token scope");
  }

  @Override
  public Router open(RouterConfig config) {
    List<String> adapters =
        Options.of("router plugin 'uniform'", config.options(), ADAPTERS).names(ADAPTERS);
    return new Uniform(new Experts(adapters, adapters.size()));
  }

  private record Uniform(Experts experts) implements TokenRouter {
    @Override
    public void route(RoutingInput in, RoutingOutput out) {
      int count = experts.adapters().size();
      for (int token = 0; token < in.tokens(); token++) {
        for (int expert = 0; expert < count; expert++) {
          out.choose(token, expert, 1f / count);
        }
      }
    }
  }
}
