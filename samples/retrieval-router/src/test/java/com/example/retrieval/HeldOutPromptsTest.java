package com.example.retrieval;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.conformance.RouterConformance;
import dev.lorikeet.routing.Mixture;
import dev.lorikeet.routing.RequestContext;
import dev.lorikeet.routing.RequestRouter;
import dev.lorikeet.routing.Router;
import dev.lorikeet.routing.RouterConfig;
import dev.lorikeet.routing.RouterProvider;
import dev.lorikeet.shape.ModelInfo;
import dev.lorikeet.shape.ModelShape;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The embedding model on prompts that are not among the examples. */
class HeldOutPromptsTest extends RouterConformance {
  private static final List<String> STYLES = List.of("glossary", "jargon", "scripture", "voyage");
  private static final Path EXAMPLES = Path.of("examples");
  private static final Path HELD_OUT = Path.of("src/test/resources/held-out");
  private static final ModelInfo MODEL =
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

  @TempDir static Path directory;

  @Override
  protected Router createRouter(RouterConfig config) {
    return new RetrievalRouterProvider().open(config);
  }

  @Override
  protected Optional<RouterProvider> provider() {
    return Optional.of(new RetrievalRouterProvider());
  }

  /** Examples for some of the adapters that the suite registers, and for one that it does not. */
  @Override
  protected Map<String, String> options() {
    try {
      Path examples =
          Files.writeString(
              directory.resolve("examples.json"),
              """
              {
                "code": ["Write a loop in Java.", "Why does this test fail?"],
                "law": ["Is this contract binding?", "What does the court say of the case?"],
                "poetry": ["Write a sonnet."],
                "zulu": ["Sawubona, unjani?"]
              }
              """);
      return Map.of("examples", examples.toString(), "min-similarity", "-1");
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static RequestRouter open(Map<String, String> options) {
    return (RequestRouter)
        new RetrievalRouterProvider().open(RouterConfig.of(MODEL).withOptions(options));
  }

  private static RequestContext request(String text) {
    return RequestContext.builder().text(text).tokens(List.of(1)).adapters(STYLES).build();
  }

  @Test
  void atLeastFourOfFivePromptsFindTheirAdapter() throws IOException {
    Map<String, Integer> right = new TreeMap<>();
    int prompts = 0;
    try (RequestRouter router =
        open(Map.of("examples", EXAMPLES.toString(), "k", "1", "min-similarity", "-1"))) {
      for (String style : STYLES) {
        for (String prompt : Files.readAllLines(HELD_OUT.resolve(style + ".txt"))) {
          Mixture mixture = router.route(request(prompt));
          right.merge(style, mixture.equals(Mixture.of(style)) ? 1 : 0, Integer::sum);
          prompts++;
        }
      }
    }
    System.out.println("right of 50 each: " + right);
    assertEquals(200, prompts);
    assertTrue(right.values().stream().mapToInt(n -> n).sum() >= 160, right.toString());
    assertTrue(right.values().stream().allMatch(n -> n >= 25), right.toString());
  }

  @Test
  void aPromptOfAnotherKindGoesToTheBaseModel() {
    try (RequestRouter router = open(Map.of("examples", EXAMPLES.toString()))) {
      assertEquals(Mixture.none(), router.route(request("How do I renew my passport?")));
      assertEquals(
          Mixture.none(), router.route(request("What is the best recipe for tomato soup?")));
    }
  }

  @Test
  void aLongPromptIsJudgedByItsBeginning() {
    try (RequestRouter router = open(Map.of("examples", EXAMPLES.toString(), "k", "1"))) {
      String prompt =
          "And it came to pass, that the LORD spake unto Moses, saying, Speak unto the children of"
              + " Israel. ";
      assertEquals(
          Mixture.of("scripture"),
          router.route(request(prompt.repeat(40) + "How do I renew my passport? ".repeat(10_000))));
    }
  }
}
