package dev.lorikeet.host.router;

import dev.lorikeet.conformance.RouterConformance;
import dev.lorikeet.routing.Router;
import dev.lorikeet.routing.RouterConfig;
import dev.lorikeet.routing.RouterProvider;
import java.nio.file.Path;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.io.TempDir;

class TokenGateConformanceTest extends RouterConformance {
  @TempDir Path directory;

  @Override
  protected Router createRouter(RouterConfig config) {
    int hidden = config.model().shape().hidden();
    new GateFiles(7, GateFiles.names(5), 2, 0, hidden, 0.9, 0).write(directory);
    return new GateRouterProvider()
        .open(RouterConfig.of(config.model()).withOptions(Map.of("path", directory.toString())));
  }

  @Override
  protected Optional<RouterProvider> provider() {
    return Optional.of(new GateRouterProvider());
  }
}
