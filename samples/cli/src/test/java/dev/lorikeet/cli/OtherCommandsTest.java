package dev.lorikeet.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import dev.lorikeet.cli.console.ExitCode;
import dev.lorikeet.cli.fake.FakePlugins;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class OtherCommandsTest {
  @TempDir Path directory;

  @Test
  void theDemoSendsEveryPromptToEveryVoiceInOneBatch() {
    Run run = Run.of("demo", "--json");
    JsonNode json = run.json();
    assertEquals(ExitCode.OK, run.exitCode());
    assertEquals(20, json.get("generations").size());
    assertEquals(20, json.at("/batch/largest_batch").asInt());
    assertEquals("jargon", json.at("/generations/2/adapter").asText());
    assertEquals(" base says The people of the", json.at("/generations/0/text").asText());
    assertEquals(3, json.at("/pages/kv_cache_peak").asInt());
    assertEquals(2, json.at("/pages/adapters").asInt());
  }

  @Test
  void theDemoEndsWithAShortTable() {
    Run run = Run.of("demo", "--prompt", "Hello", "--max-tokens", "5");
    assertTrue(run.out().startsWith("> Hello\nbase      |  base\n"), run.out());
    assertTrue(run.out().contains("\nbatch     1 prompts x 5 voices; at most 5"), run.out());
    assertTrue(run.out().contains("\nKV cache  3 pages (192 KiB) at its peak\n"), run.out());
    assertTrue(run.out().contains("\nadapters  2 pages (128 KiB) for 4 adapters\n"), run.out());
    assertTrue(run.out().contains(" tokens/s: 25 tokens in "), run.out());
  }

  @Test
  void theDemoRefusesABadNumberOfTokens() {
    assertEquals(ExitCode.USAGE, Run.of("demo", "--max-tokens", "0").exitCode());
    assertEquals(ExitCode.USAGE, Run.of("demo", "--max-tokens", "many").exitCode());
  }

  @Test
  void withoutPluginsTheDemoTellsWhatIsMissing() {
    Run run = Run.with(FakePlugins::none, "", "demo");
    assertEquals(ExitCode.ENVIRONMENT, run.exitCode());
    assertEquals(
        "lorikeet: PLUGIN_UNAVAILABLE: no base model can be used; found on the class path: none (is the plugin's jar there?)\n",
        run.err());
  }

  @Test
  void pluginsAreListedWithStateAndReason() {
    Run run = Run.of("plugins");
    assertEquals(ExitCode.OK, run.exitCode());
    assertTrue(
        run.out().matches("(?s).*LoRA executor +\\*fake +7 +ready .*for tests\\n.*"), run.out());
    assertTrue(
        run.out().matches("(?s).*LoRA executor + fake-gpu +90 +unavailable .*no device\\n.*"),
        run.out());
    assertTrue(run.out().matches("(?s).*router +.*failed .*no.such.Router.*"), run.out());
  }

  @Test
  void pluginsAreListedAsJson() {
    JsonNode plugins = Run.of("plugins", "--json").json().get("plugins");
    assertEquals(7, plugins.size());
    JsonNode gpu = plugins.get(3);
    assertEquals("lora_executor", gpu.get("kind").asText());
    assertEquals("fake-gpu", gpu.get("name").asText());
    assertEquals("unavailable", gpu.get("state").asText());
    assertEquals("no device", gpu.get("reason").asText());
    assertFalse(gpu.get("chosen").asBoolean());
    assertTrue(plugins.get(2).get("chosen").asBoolean());
  }

  @Test
  void noPluginsAreNoFailure() {
    Run run = Run.with(FakePlugins::none, "", "plugins");
    assertEquals(ExitCode.OK, run.exitCode());
    assertTrue(run.out().contains("none: are the plugins' jars on the class path?"), run.out());
  }

  @Test
  void textsAreScoredUnderEachAdapter() {
    String model = directory.toString();
    Run run = Run.of("score", "-m", model, "-a", "red=" + model, "--each", "-p", "abc");
    assertEquals(
        """
        VOICE  TOKENS  LOG-PROBABILITY  PERPLEXITY  TEXT
        base   4       -6.0000          7.389       abc
        red    4       -3.0000          2.718       abc
        """,
        run.out());
    JsonNode json = Run.of("score", "-m", model, "-p", "abc", "--json").json();
    assertEquals("[-2.0,-2.0,-2.0]", json.at("/scores/0/log_probabilities").toString());
    assertEquals(-6, json.at("/scores/0/total").asDouble());
  }

  @Test
  void helpAndVersionAreAnsweredEverywhere() {
    assertTrue(Run.of("--help").out().contains("Exit codes:"));
    for (String command :
        new String[] {
          "demo", "generate", "score", "adapters", "router", "plugins", "conformance"
        }) {
      Run help = Run.of(command, "--help");
      assertEquals(ExitCode.OK, help.exitCode(), command);
      assertTrue(help.out().startsWith("Usage: lorikeet " + command), help.out());
    }
    assertTrue(Run.of("--version").out().startsWith("lorikeet "));
  }

  @Test
  void aMissingOrUnknownCommandIsWrongUsage() {
    assertEquals(ExitCode.USAGE, Run.of().exitCode());
    Run unknown = Run.of("plugin");
    assertEquals(ExitCode.USAGE, unknown.exitCode());
    assertTrue(unknown.err().contains("lorikeet plugins"), unknown.err());
  }
}
