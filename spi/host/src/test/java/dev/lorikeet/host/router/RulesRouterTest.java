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
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class RulesRouterTest extends RouterConformance {
  private static final String RULES =
      """
      {
        "rules": [
          {"name": "vip", "when": {"tenant": ["acme", "emca"], "prompt": "(?i)contract"},
           "use": {"legal": 0.75, "formal": 0.25}},
          {"name": "german", "when": {"language": "de"}, "use": "german"},
          {"when": {"script": "Cyrillic"}, "use": "russian"},
          {"name": "chat", "when": {"attribute.channel": ["chat", "phone"]}, "use": ""},
          {"name": "code", "when": {"prompt": ["\\\\bclass \\\\w+", "^def "]}, "use": "code"}
        ],
        "otherwise": "general=0.5"
      }
      """;

  @TempDir Path directory;

  @Override
  protected Router createRouter(RouterConfig config) {
    return new RulesRouterProvider()
        .open(
            RouterConfig.of(config.model())
                .withOptions(Map.of("rule.1.tenant", "x", "rule.1.use", "")));
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
        new RulesRouterProvider().open(RouterConfig.of(model).withOptions(options));
  }

  private RequestRouter file(String text) throws IOException {
    return open(
        Map.of("file", Files.writeString(directory.resolve("rules.json"), text).toString()));
  }

  private static RequestContext request(
      String text, String tenant, Map<String, String> attributes) {
    return RequestContext.builder()
        .text(text)
        .tokens(List.of(1))
        .tenant(tenant)
        .attributes(attributes)
        .adapters(List.of("code", "formal", "general", "german", "legal", "russian"))
        .build();
  }

  @Test
  void theFirstRuleWhoseConditionsAllHoldDecides() throws IOException {
    try (RequestRouter router = file(RULES)) {
      Mixture both =
          Mixture.of(new Mixture.Share("legal", 0.75f), new Mixture.Share("formal", 0.25f));
      Mixture general = Mixture.of(new Mixture.Share("general", 0.5f));
      Map<String, String> german = Map.of("language", "de_AT");
      assertEquals(both, router.route(request("This Contract", "acme", german)));
      assertEquals(both, router.route(request("This Contract", "emca", Map.of())));
      assertEquals(Mixture.of("german"), router.route(request("This Contract", "other", german)));
      assertEquals(Mixture.of("german"), router.route(request("Hello", "acme", german)));
      assertEquals(general, router.route(request("Hello", "", Map.of("language", "den"))));
      assertEquals(Mixture.of("russian"), router.route(request("Да, ok: привет", "", Map.of())));
      assertEquals(Mixture.none(), router.route(request("x", "", Map.of("channel", "phone"))));
      assertEquals(Mixture.of("code"), router.route(request("a class Foo", "", Map.of())));
      assertEquals(Mixture.of("code"), router.route(request("def f():", "", Map.of())));
      assertEquals(general, router.route(request("an undef x", "", Map.of())));
      assertEquals(general, router.route(request("", "", Map.of())));
    }
  }

  @Test
  void rulesCanBeOptionsInTheOrderOfTheirNumbers() {
    try (RequestRouter router =
        open(
            Map.of(
                "rule.10.prompt",
                "o",
                "rule.10.use",
                "formal",
                "rule.2.prompt",
                "x",
                "rule.2.use",
                "legal=0.7, code=0.3",
                "otherwise",
                "general"))) {
      assertEquals(
          Mixture.of(new Mixture.Share("legal", 0.7f), new Mixture.Share("code", 0.3f)),
          router.route(request("ox", "", Map.of())));
      assertEquals(Mixture.of("formal"), router.route(request("o", "", Map.of())));
      assertEquals(Mixture.of("general"), router.route(request("y", "", Map.of())));
    }
  }

  @Test
  void aPatternThatBacktracksWithoutEndFailsItsRequestAndNamesItsRule() {
    try (RequestRouter router = open(Map.of("rule.7.prompt", "(.*a){12}$", "rule.7.use", "code"))) {
      IllegalStateException e =
          assertThrows(
              IllegalStateException.class,
              () -> router.route(request("a".repeat(60) + "!", "", Map.of())));
      assertTrue(String.valueOf(e.getMessage()).contains("rule '7'"), e.getMessage());
      assertTrue(String.valueOf(e.getMessage()).contains("(.*a){12}$"), e.getMessage());
    }
    try (RequestRouter router = open(Map.of("rule.1.prompt", "(a|b)*c", "rule.1.use", "code"))) {
      IllegalStateException e =
          assertThrows(
              IllegalStateException.class,
              () -> router.route(request("ab".repeat(1_000_000), "", Map.of())));
      assertTrue(String.valueOf(e.getMessage()).contains("rule '1'"), e.getMessage());
    }
  }

  @Test
  void anOrdinaryPatternMayReadALongPrompt() {
    try (RequestRouter router =
        open(Map.of("rule.1.prompt", "(?i)\\brefund\\b", "rule.1.use", "code"))) {
      String prompt = "The quick brown fox. ".repeat(20_000);
      assertEquals(Mixture.none(), router.route(request(prompt, "", Map.of())));
      assertEquals(Mixture.of("code"), router.route(request(prompt + "Refund", "", Map.of())));
    }
  }

  @Test
  void anAdapterThatIsNotRegisteredFailsTheRequestsThatMeetItsRule() {
    try (RequestRouter router = open(Map.of("rule.1.tenant", "t", "rule.1.use", "nobody"))) {
      assertEquals(Mixture.none(), router.route(request("", "u", Map.of())));
      IllegalStateException e =
          assertThrows(IllegalStateException.class, () -> router.route(request("", "t", Map.of())));
      assertEquals("rule '1': adapter 'nobody' is not registered", e.getMessage());
    }
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '`',
      value = {
        "{\"rules\": {}}|'rules'",
        "{\"rules\": [], \"rule\": 1}|'rule'",
        "{\"rules\": [3]}|rule '1'",
        "{\"rules\": [{\"use\": \"a\"}, {\"when\": {}}]}|rule '2': 'use'",
        "{\"rules\": [{\"name\": \"n\", \"use\": 3}]}|rule 'n': 'use'",
        "{\"rules\": [{\"name\": \"n\", \"use\": {\"a\": \"1\"}}]}|rule 'n': 'use'",
        "{\"rules\": [{\"name\": \"n\", \"use\": \"a=x\"}]}|rule 'n': 'use'",
        "{\"rules\": [{\"name\": \"n\", \"use\": \"a,a\"}]}|rule 'n'",
        "{\"rules\": [{\"name\": \"n\", \"use\": \"a\", \"if\": {}}]}|rule 'n': 'if'",
        "{\"rules\": [{\"name\": \"n\", \"use\": \"a\", \"when\": 1}]}|rule 'n': 'when'",
        "{\"rules\": [{\"name\": \"n\", \"use\": \"a\", \"when\": {\"prompt\": \"(\"}}]}|rule 'n':"
            + " 'prompt'",
        "{\"rules\": [{\"name\": \"n\", \"use\": \"a\", \"when\": {\"prompt\": []}}]}|rule 'n':"
            + " 'prompt'",
        "{\"rules\": [{\"name\": \"n\", \"use\": \"a\", \"when\": {\"tenant\": 1}}]}|rule 'n':"
            + " 'tenant'",
        "{\"rules\": [{\"name\": \"n\", \"use\": \"a\", \"when\": {\"script\": \"Klingon\"}}]}|rule"
            + " 'n': 'script'",
        "{\"rules\": [{\"name\": \"n\", \"use\": \"a\", \"when\": {\"attribute.\": \"x\"}}]}|rule"
            + " 'n': 'attribute.'",
        "{\"rules\": [}|well-formed JSON",
      })
  void whatIsWrongInAFileIsToldByRuleAndKey(String text, String mention) {
    IllegalArgumentException e = assertThrows(IllegalArgumentException.class, () -> file(text));
    assertTrue(String.valueOf(e.getMessage()).contains(mention), e.getMessage());
    assertTrue(String.valueOf(e.getMessage()).contains("rules.json"), e.getMessage());
  }

  @ParameterizedTest
  @CsvSource({
    "rule.x.use, rule.x.use",
    "rule.1, rule.1",
    "rule.1.prompt, rule '1': 'use'",
    "rules, rules",
    "otherwise, file",
    "file, none.json"
  })
  void whatIsWrongInOptionsIsToldByName(String key, String mention) {
    IllegalArgumentException e =
        assertThrows(IllegalArgumentException.class, () -> open(Map.of(key, "none.json")));
    assertTrue(String.valueOf(e.getMessage()).contains(mention), e.getMessage());
  }
}
