package dev.lorikeet.conformance.router;

import dev.lorikeet.conformance.RouterConformance;
import dev.lorikeet.routing.Router;
import dev.lorikeet.routing.RouterConfig;
import dev.lorikeet.routing.RouterProvider;
import java.util.Optional;
import org.junit.jupiter.api.Nested;

class ReferenceRoutersTest {
  @Nested
  class OfTokens extends RouterConformance {
    @Override
    protected Router createRouter(RouterConfig config) {
      return provider().orElseThrow().open(config);
    }

    @Override
    protected Optional<RouterProvider> provider() {
      return Optional.of(new ReferenceRouters.Provider());
    }
  }

  @Nested
  class OfLayers extends RouterConformance {
    @Override
    protected Router createRouter(RouterConfig config) {
      return new ReferenceRouters.OfLayers();
    }
  }

  @Nested
  class OfRequests extends RouterConformance {
    @Override
    protected Router createRouter(RouterConfig config) {
      return new ReferenceRouters.OfRequests();
    }
  }
}
