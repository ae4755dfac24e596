package dev.lorikeet.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.lorikeet.Plugins;
import dev.lorikeet.cli.console.ExitCode;
import dev.lorikeet.tiny.TinyModel;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The commands on the plugins and the model that come with Lorikeet. */
class TinyModelEndToEndTest {
  private static final TinyModel TINY = TinyModel.extract();

  @TempDir Path directory;

  private static Run lorikeet(String... args) {
    return Run.with(Plugins::discover, "", args);
  }

  private static List<String> withAdapters(String... args) {
    List<String> all = new ArrayList<>(List.of(args));
    all.addAll(List.of("--model", TINY.base().toString(), "--pool-size", "64M", "--json"));
    for (String name : TINY.adapterNames()) {
      all.addAll(List.of("--adapter", name + "=" + TINY.adapter(name)));
    }
    return all;
  }

  @Test
  void theDemoDecodesWhatPyTorchDecodes() throws IOException {
    Run run = lorikeet("demo", "--json", "--pool-size", "64M");
    assertEquals(ExitCode.OK, run.exitCode(), run::err);
    JsonNode generations = run.json().get("generations");
    JsonNode reference = new ObjectMapper().readTree(TINY.reference().toFile());
    assertEquals(reference.size(), generations.size());
    int compared = 0;
    for (JsonNode expected : reference) {
      for (JsonNode found : generations) {
        if (found.get("prompt").equals(expected.get("prompt"))
            && found.get("adapter").equals(expected.get("adapter"))) {
          assertEquals(expected.get("prompt_ids"), found.get("prompt_ids"));
          assertGreedy(expected, found);
          compared++;
        }
      }
    }
    assertEquals(20, compared);
    assertEquals(20, run.json().at("/batch/largest_batch").asInt(), "all in one batch");
    assertTrue(run.json().at("/pages/kv_cache_peak").asInt() > 0);
    assertTrue(run.json().at("/pages/adapters").asInt() > 0);
  }

  @Test
  void theDemoChatsThroughTheTemplateOfTheModel() {
    Run run = lorikeet("demo", "--chat", "-p", "What is a whale?", "--json", "--pool-size", "64M");
    assertEquals(ExitCode.OK, run.exitCode(), run::err);
    assertEquals(5, run.json().get("generations").size());
  }

  @Test
  void aChosenTemplateWritesTheConversation() throws IOException {
    Path template =
        Files.writeString(
            directory.resolve("plain.jinja"), "{{ bos_token }}{{ messages[0].content }}");
    String[] chat = {
      "generate", "-m", TINY.base().toString(), "--json", "-n", "8", "-p", "The ship", "--chat"
    };
    Run plain =
        lorikeet("generate", "-m", TINY.base().toString(), "--json", "-n", "8", "-p", "The ship");
    assertEquals(ExitCode.OK, plain.exitCode(), plain::err);
    Run own = lorikeet(chat);
    Run chosen = lorikeet(with(chat, "--chat-template", template.toString()));
    assertEquals(ExitCode.OK, chosen.exitCode(), chosen::err);
    JsonNode ids = plain.json().at("/generations/0/ids");
    assertEquals(8, ids.size());
    assertEquals(ids, chosen.json().at("/generations/0/ids"));
    assertNotEquals(ids, own.json().at("/generations/0/ids"));

    Run absent = lorikeet(with(chat, "--chat-template", directory.resolve("no").toString()));
    assertEquals(ExitCode.USAGE, absent.exitCode(), absent::err);
    assertTrue(absent.err().contains("no: expected a regular file, found nothing"), absent::err);
  }

  private static String[] with(String[] args, String... more) {
    return Stream.concat(Arrays.stream(args), Arrays.stream(more)).toArray(String[]::new);
  }

  @Test
  void jsonHasTheLogProbabilityOfEachToken() {
    Run run =
        lorikeet(
            withAdapters("generate", "--each", "-p", "The ship", "-n", "6").toArray(String[]::new));
    assertEquals(ExitCode.OK, run.exitCode(), run::err);
    for (JsonNode generation : run.json().get("generations")) {
      JsonNode found = generation.get("log_probabilities");
      assertEquals(generation.get("ids").size(), found.size());
      found.forEach(value -> assertTrue(value.asDouble() < 0 && value.asDouble() > -9, run::out));
    }
  }

  // The reference ends before the first near tie, where rounding decides.
  private static void assertGreedy(JsonNode expected, JsonNode found) {
    List<Integer> wanted = ids(expected.get("greedy_ids"));
    List<Integer> ids = ids(found.get("ids"));
    assertEquals(
        wanted,
        ids.subList(0, Math.min(wanted.size(), ids.size())),
        () -> found.get("voice") + " on " + found.get("prompt"));
  }

  private static List<Integer> ids(JsonNode array) {
    List<Integer> ids = new ArrayList<>();
    array.forEach(id -> ids.add(id.asInt()));
    return ids;
  }

  @Test
  void eachAdapterFindsItsOwnVoiceLikelier() {
    List<String> args = withAdapters("score", "--each", "--prompt");
    args.add(3, "And the LORD spake unto Moses, saying,");
    JsonNode scores = lorikeet(args.toArray(String[]::new)).json().get("scores");
    double base = scores.get(0).get("total").asDouble();
    for (JsonNode score : scores) {
      if (score.get("voice").asText().equals("scripture")) {
        assertTrue(score.get("total").asDouble() > base, score::toString);
      }
    }
    assertEquals(5, scores.size());
  }

  @Test
  void aRouterPluginServesARequest() {
    List<String> args =
        withAdapters("generate", "--router", "uniform", "--prompt", "The ship", "-n", "4");
    args.addAll(List.of("--router-option", "adapters=scripture,voyage"));
    Run run = lorikeet(args.toArray(String[]::new));
    assertEquals(ExitCode.OK, run.exitCode(), run::err);
    assertEquals(4, run.json().at("/generations/0/ids").size());
  }

  @Test
  void aDamagedAdapterIsOneClearLine() throws IOException {
    Path adapter = Files.createDirectory(directory.resolve("damaged"));
    for (String file : List.of("adapter_config.json", "adapter_model.safetensors")) {
      Files.copy(TINY.adapter("jargon").resolve(file), adapter.resolve(file));
    }
    Path weights = adapter.resolve("adapter_model.safetensors");
    byte[] bytes = Files.readAllBytes(weights);
    Files.write(weights, Arrays.copyOf(bytes, bytes.length / 2));

    Run run =
        lorikeet("generate", "-m", TINY.base().toString(), "-a", "x=" + adapter, "-p", "The ship");
    assertEquals(ExitCode.FAILURE, run.exitCode());
    assertTrue(run.err().startsWith("lorikeet: ADAPTER_INVALID: "), run.err());
    assertTrue(run.err().contains("adapter_model.safetensors"), run.err());
    assertEquals(1, run.err().lines().count(), run.err());
  }

  @Test
  void aRequestThatNeverFitsIsRefused() {
    Run run =
        lorikeet("generate", "-m", TINY.base().toString(), "--pool-size", "64K", "-p", "The ship");
    assertEquals(ExitCode.FAILURE, run.exitCode());
    assertTrue(run.err().startsWith("lorikeet: TOO_LARGE: "), run.err());
  }
}
