package com.example.router;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;

import dev.lorikeet.conformance.RouterConformance;
import dev.lorikeet.routing.Experts;
import dev.lorikeet.routing.Router;
import dev.lorikeet.routing.RouterConfig;
import dev.lorikeet.routing.RoutingInput;
import dev.lorikeet.routing.RoutingOutput;
import dev.lorikeet.routing.TokenRouter;
import java.util.List;

/** The router that the main README shows keeps to the rules. */
class ReadmeRouterTest extends RouterConformance {
  record Alternating(Experts experts) implements TokenRouter {
    @Override
    public void route(RoutingInput in, RoutingOutput out) {
      for (int token = 0; token < in.tokens(); token++) {
        float first = in.hidden().segment().get(JAVA_FLOAT, token * in.hidden().rowStrideBytes());
        out.choose(token, first < 0 ? 0 : 1, 1f); // token, expert, weight
      }
    }
  }

  @Override
  protected Router createRouter(RouterConfig config) {
    return new Alternating(new Experts(List.of("legal", "tone"), 1));
  }
}
