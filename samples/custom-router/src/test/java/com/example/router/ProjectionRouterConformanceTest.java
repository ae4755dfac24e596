package com.example.router;

import dev.lorikeet.conformance.RouterConformance;
import dev.lorikeet.routing.Router;
import dev.lorikeet.routing.RouterConfig;
import java.util.Map;

/** Holds the router to rules R1 to R11 of the specification. */
class ProjectionRouterConformanceTest extends RouterConformance {
  @Override
  protected Router createRouter(RouterConfig config) {
    return new ProjectionRouterProvider()
        .open(RouterConfig.of(config.model()).withOptions(Map.of("adapters", "a,b,c")));
  }
}
