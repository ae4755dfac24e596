package dev.lorikeet.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.lorikeet.plugin.Plugins;
import dev.lorikeet.tiny.TinyModel;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Training and judging gates on the tiny model. */
class RouterCommandTest {
  @TempDir Path directory;

  private static Run lorikeet(String... args) {
    List<String> all = new ArrayList<>(List.of(args));
    all.addAll(List.of("--pool-size", "64M"));
    return Run.with(Plugins::discover, "", all.toArray(String[]::new));
  }

  @Test
  void theTrainedGateBeatsWhateverNeedsNoRouterByThreePercent() {
    Run run = lorikeet("router", "evaluate", "--documents", "6", "--seed", "3", "--json");
    assertEquals(ExitCode.OK, run.exitCode(), run::err);
    Map<String, Double> perplexities = new HashMap<>();
    run.json()
        .get("rows")
        .forEach(
            row -> perplexities.put(row.get("name").asText(), row.get("perplexity").asDouble()));
    assertEquals(8, perplexities.size(), "base, four adapters, mixture, router, oracle");
    double gate = perplexities.getOrDefault("router gate", Double.NaN);
    perplexities.forEach(
        (name, perplexity) -> {
          if (!name.equals("router gate") && !name.equals("oracle")) {
            assertTrue(gate < 0.97 * perplexity, name + ": " + perplexities);
          }
        });
    assertTrue(run.json().get("gain").asDouble() > 0.03, run::out);
  }

  @Test
  void aGateIsTrainedFromTextsAndLoadsAgain() throws IOException {
    TinyModel tiny = TinyModel.extract();
    List<String> args = new ArrayList<>(List.of("router", "train", "--json", "--epochs", "4"));
    args.addAll(List.of("--targets", "labels", "--top-k", "1", "--inner", "8"));
    args.addAll(List.of("--out", directory.resolve("gate").toString()));
    args.addAll(List.of("--model", tiny.base().toString()));
    for (String name : List.of("scripture", "jargon")) {
      args.add("--adapter=" + name + "=" + tiny.adapter(name));
      args.add("--text=" + name + "=" + tiny.trainingText(name));
    }
    Run run = lorikeet(args.toArray(String[]::new));
    assertEquals(ExitCode.OK, run.exitCode(), run::err);
    JsonNode training = run.json().get("training");
    assertEquals(4, training.get("epochs").size());
    assertTrue(training.at("/kept/accuracy").asDouble() > 0.8, run::out);
    JsonNode saved =
        new ObjectMapper().readTree(directory.resolve("gate").resolve("router.json").toFile());
    assertEquals("[\"scripture\",\"jargon\"]", saved.get("experts").toString());

    List<String> use = new ArrayList<>(List.of("generate", "--json", "-n", "3", "-p", "And"));
    use.addAll(List.of("--model", tiny.base().toString(), "--router", "gate"));
    use.addAll(List.of("--router-option", "path=" + directory.resolve("gate")));
    for (String name : List.of("scripture", "jargon")) {
      use.add("--adapter=" + name + "=" + tiny.adapter(name));
    }
    Run generated = lorikeet(use.toArray(String[]::new));
    assertEquals(ExitCode.OK, generated.exitCode(), generated::err);
  }

  @Test
  void theDemoTagsTokensByTheirAdapter() {
    Run run = lorikeet("demo", "--router", "gate", "-p", "And the LORD said", "-n", "6");
    assertEquals(ExitCode.OK, run.exitCode(), run::err);
    assertTrue(run.out().contains("> And the LORD said\n["), run.out());
  }

  @Test
  void theDemoTellsTheMixtureOfEachTokenInJson() {
    Run run = lorikeet("demo", "--router", "gate", "-p", "And the LORD said", "-n", "5", "--json");
    assertEquals(ExitCode.OK, run.exitCode(), run::err);
    JsonNode generation = run.json().at("/generations/0");
    assertEquals(generation.get("ids").size(), generation.get("mixtures").size());
    for (JsonNode mixture : generation.get("mixtures")) {
      double sum = 0;
      for (JsonNode weight : mixture) {
        sum += weight.asDouble();
      }
      assertEquals(2, mixture.size(), run::out);
      assertEquals(1, sum, 1e-5);
    }
  }

  @Test
  void wrongUsageIsSaidBeforeAModelLoads() throws IOException {
    Run without = lorikeet("router", "train", "--out", "x", "--model", "m", "--adapter", "a=b");
    assertEquals(ExitCode.USAGE, without.exitCode());
    assertTrue(without.err().contains("--text"), without.err());
    assertEquals(ExitCode.USAGE, lorikeet("router", "train").exitCode());
    assertEquals(ExitCode.USAGE, lorikeet("router").exitCode());
    assertEquals(
        ExitCode.USAGE, lorikeet("router", "train", "--out", "x", "--decay", "1").exitCode());
    assertEquals(
        ExitCode.USAGE, lorikeet("router", "train", "--out", "x", "--top-k", "5").exitCode());
    Path empty = Files.writeString(directory.resolve("empty.txt"), "\n");
    Run unreadable =
        lorikeet(
            "router",
            "train",
            "--out",
            "x",
            "--model",
            "m",
            "-a",
            "a=x",
            "-a",
            "b=y",
            "-t",
            "a=" + empty,
            "-t",
            "b=" + empty);
    assertEquals(ExitCode.FAILURE, unreadable.exitCode());
    assertTrue(unreadable.err().contains("empty.txt"), unreadable.err());
  }
}
