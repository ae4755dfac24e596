package com.example.retrieval;

import static org.junit.jupiter.api.Assertions.assertEquals;

import com.example.retrieval.RetrievalRouter.Settings;
import dev.lorikeet.routing.Mixture;
import dev.lorikeet.routing.RequestContext;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

/** What the router makes of similarities; its texts are vectors. */
class RetrievalRouterTest {
  private static final double SQRT_HALF = Math.sqrt(0.5);

  private static final Map<String, List<String>> EXAMPLES =
      Map.of(
          "east", List.of("1 0", "0 -1", "-1 0"), "north", List.of("0 1"), "west", List.of("-1 0"));

  private static float[] parse(String text) {
    String[] parts = text.split(" ");
    return new float[] {Float.parseFloat(parts[0]), Float.parseFloat(parts[1])};
  }

  private static Mixture route(Settings settings, String prompt, String... registered) {
    return new RetrievalRouter(RetrievalRouterTest::parse, EXAMPLES, settings)
        .route(
            RequestContext.builder()
                .text(prompt)
                .tokens(List.of(1))
                .adapters(List.of(registered))
                .build());
  }

  private static void assertShares(Map<String, Double> expected, Mixture found) {
    assertEquals(expected.size(), found.shares().size(), found.toString());
    for (Mixture.Share share : found.shares()) {
      assertEquals(expected.getOrDefault(share.adapter(), -1.0), share.weight(), 1e-6);
    }
  }

  @Test
  void theNearestAdaptersShareByTheSoftmaxOfTheirScores() {
    double ratio = Math.exp((0.8 - 0.6) / 0.5);
    assertShares(
        Map.of("east", 1 / (1 + ratio), "north", ratio / (1 + ratio)),
        route(new Settings(2, 1, 0.5, 0), "0.6 0.8", "east", "north", "west"));
  }

  @Test
  void onlyTheBestExamplesOfAnAdapterCount() {
    String between = SQRT_HALF + " " + SQRT_HALF;
    assertShares(
        Map.of("east", 0.5, "north", 0.5),
        route(new Settings(2, 1, 0.1, 0), between, "east", "north"));
    assertShares(
        Map.of("north", 1.0), route(new Settings(2, 2, 0.1, 0.1), between, "east", "north"));
  }

  @Test
  void adaptersThatAreNotRegisteredAreLeftOut() {
    assertShares(
        Map.of("east", 1.0), route(new Settings(1, 1, 0.1, -1), "0.6 0.8", "east", "south"));
  }

  @Test
  void whatIsLikeNoExampleGoesToTheBaseModel() {
    assertEquals(Mixture.none(), route(new Settings(2, 1, 0.1, 0.9), "0.6 0.8", "east", "north"));
    assertEquals(Mixture.none(), route(new Settings(2, 1, 0.1, -1), "", "east", "north"));
  }
}
