package dev.lorikeet.host.router;

import dev.lorikeet.conformance.RouterConformance;
import dev.lorikeet.routing.Router;
import dev.lorikeet.routing.RouterConfig;
import java.util.Map;

class UniformRouterConformanceTest extends RouterConformance {
  @Override
  protected Router createRouter(RouterConfig config) {
    return new UniformRouterProvider()
        .open(RouterConfig.of(config.model()).withOptions(Map.of("adapters", "a,b,c")));
  }
}
