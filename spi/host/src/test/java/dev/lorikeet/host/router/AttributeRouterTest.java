package dev.lorikeet.host.router;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.conformance.RouterConformance;
import dev.lorikeet.routing.Mixture;
import dev.lorikeet.routing.RequestContext;
import dev.lorikeet.routing.RequestRouter;
import dev.lorikeet.routing.Router;
import dev.lorikeet.routing.RouterConfig;
import dev.lorikeet.shape.ModelInfo;
import dev.lorikeet.shape.ModelShape;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

class AttributeRouterTest extends RouterConformance {
  private static final Map<String, String> BY_LANGUAGE =
      Map.of("attribute", "language", "when.de", "german", "when.fr", "french");

  @Override
  protected Router createRouter(RouterConfig config) {
    return new AttributeRouterProvider()
        .open(RouterConfig.of(config.model()).withOptions(Map.of("attribute", "language")));
  }

  private static RequestRouter open(Map<String, String> options) {
    ModelInfo model =
        ModelInfo.builder(
                Path.of("none"),
                "llama",
                ModelShape.builder()
                    .layers(1)
                    .hidden(8)
                    .intermediate(8)
                    .heads(1)
                    .kvHeads(1)
                    .headDim(8)
                    .vocabulary(10)
                    .build())
            .weightType("F32")
            .maxPositions(16)
            .build();
    return (RequestRouter)
        new AttributeRouterProvider().open(RouterConfig.of(model).withOptions(options));
  }

  private static RequestContext context(String tenant, Map<String, String> attributes) {
    return RequestContext.builder()
        .tokens(List.of(1))
        .tenant(tenant)
        .attributes(attributes)
        .adapters(List.of("french", "german"))
        .build();
  }

  @Test
  void theAttributesValueNamesTheAdapter() {
    try (RequestRouter router = open(BY_LANGUAGE)) {
      assertEquals(Mixture.of("german"), router.route(context("", Map.of("language", "de"))));
      assertEquals(Mixture.of("french"), router.route(context("", Map.of("language", "fr"))));
      assertEquals(Mixture.none(), router.route(context("", Map.of("language", "it"))));
      assertEquals(Mixture.none(), router.route(context("", Map.of())));
    }
  }

  @Test
  void theTenantCanBeTheAttribute() {
    try (RequestRouter router =
        open(Map.of("attribute", "tenant", "when.acme", "german", "otherwise", "french"))) {
      assertEquals(Mixture.of("german"), router.route(context("acme", Map.of())));
      assertEquals(Mixture.of("french"), router.route(context("other", Map.of())));
    }
  }

  @Test
  void withoutAnAttributeToLookAtItDoesNotOpen() {
    IllegalArgumentException e =
        assertThrows(IllegalArgumentException.class, () -> open(Map.of("when.de", "german")));
    assertTrue(String.valueOf(e.getMessage()).contains("'attribute'"));
  }
}
