package dev.lorikeet.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.lorikeet.Plugins;
import dev.lorikeet.cli.console.Console;
import dev.lorikeet.cli.console.ExitCode;
import dev.lorikeet.tiny.TinyModel;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.Stream;
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
  void bothTrainedGatesBeatWhateverNeedsNoRouterByThreePercent() {
    Run run = lorikeet("router", "evaluate", "--documents", "6", "--seed", "3", "--json");
    assertEquals(ExitCode.OK, run.exitCode(), run::err);
    Map<String, Double> fixed = new HashMap<>();
    Map<String, Double> gates = new HashMap<>();
    for (JsonNode row : run.json().get("rows")) {
      Map<String, Double> perplexities =
          switch (row.get("role").asText()) {
            case "fixed" -> fixed;
            case "router" -> gates;
            default -> new HashMap<>();
          };
      perplexities.put(row.get("name").asText(), row.get("perplexity").asDouble());
    }
    assertEquals(6, fixed.size(), "base, four adapters, mixture");
    assertEquals(Set.of("token-wise gate", "layer-wise gate"), gates.keySet());
    double best = Collections.min(fixed.values());
    gates.forEach((name, perplexity) -> assertTrue(perplexity < 0.97 * best, name + run.out()));
    double gain = 1 - Collections.min(gates.values()) / best;
    assertEquals(gain, run.json().get("gain").asDouble(), 1e-9);
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
  void aGateOfLayersIsTrainedAndJudgedBesideOneOfTokens() throws IOException {
    TinyModel tiny = TinyModel.extract();
    List<String> model = new ArrayList<>(List.of("--model", tiny.base().toString()));
    for (String name : List.of("scripture", "jargon")) {
      List<String> words =
          List.of(Files.readString(tiny.trainingText(name)).split("\\s+")).subList(0, 1500);
      Path text = Files.writeString(directory.resolve(name + ".txt"), String.join(" ", words));
      model.addAll(
          List.of("--adapter", name + "=" + tiny.adapter(name), "--text", name + "=" + text));
    }
    Map<String, Path> gates = new LinkedHashMap<>();
    for (String scope : List.of("token", "layer")) {
      gates.put(scope, directory.resolve(scope));
      List<String> train = new ArrayList<>(List.of("router", "train", "--json", "--top-k", "1"));
      train.addAll(List.of("--scope", scope, "--epochs", "2", "--inner", "4", "--rate", "0.01"));
      train.addAll(List.of("--out", directory.resolve(scope).toString()));
      train.addAll(model);
      Run run = lorikeet(train.toArray(String[]::new));
      assertEquals(ExitCode.OK, run.exitCode(), run::err);
      JsonNode layers = run.json().at("/training/layers");
      assertEquals(scope.equals("layer") ? 6 : 0, layers.size());
      if (scope.equals("layer")) {
        assertTrue(
            layers.get(5).get("accuracy").asDouble() > layers.get(0).get("accuracy").asDouble(),
            "what enters the last layer knows the text before it, the first alone: " + run.out());
      }
    }
    List<String> evaluate = new ArrayList<>(List.of("router", "evaluate", "--json"));
    gates.forEach((name, gate) -> evaluate.add("--gate=" + name + "=" + gate));
    evaluate.addAll(model);
    Run run = lorikeet(evaluate.toArray(String[]::new));
    assertEquals(ExitCode.OK, run.exitCode(), run::err);
    List<String> names = new ArrayList<>();
    run.json().get("rows").forEach(row -> names.add(row.get("name").asText()));
    assertEquals(
        List.of(
            "base", "scripture", "jargon", "uniform mixture", "gate token", "gate layer", "oracle"),
        names);
  }

  private List<String> shortTraining(TinyModel tiny, Path out) throws IOException {
    List<String> args =
        new ArrayList<>(List.of("router", "train", "--epochs", "1", "--top-k", "1"));
    args.addAll(List.of("--targets", "labels", "--pool-size", "64M", "--out", out.toString()));
    args.addAll(List.of("--model", tiny.base().toString()));
    for (String name : List.of("scripture", "jargon")) {
      List<String> words =
          List.of(Files.readString(tiny.trainingText(name)).split("\\s+")).subList(0, 1500);
      Path text = Files.writeString(directory.resolve(name + ".txt"), String.join(" ", words));
      args.addAll(
          List.of("--adapter", name + "=" + tiny.adapter(name), "--text", name + "=" + text));
    }
    return args;
  }

  private static Run answering(String answer, List<String> args) {
    StringWriter out = new StringWriter();
    StringWriter err = new StringWriter();
    Console console =
        new Console(
            new ByteArrayInputStream(answer.getBytes(StandardCharsets.UTF_8)),
            false,
            new PrintWriter(out),
            new PrintWriter(err),
            Map.of(),
            Plugins::discover,
            Optional::empty);
    int exitCode = Main.run(console, args.toArray(String[]::new));
    return new Run(exitCode, out.toString(), err.toString());
  }

  private static Map<String, String> files(Path gate) throws IOException {
    Map<String, String> files = new TreeMap<>();
    try (Stream<Path> found = Files.list(gate)) {
      for (Path file : found.toList()) {
        files.put(
            file.getFileName().toString(), Files.readString(file, StandardCharsets.ISO_8859_1));
      }
    }
    return files;
  }

  @Test
  void aGateThatIsThereIsReplacedOnlyWhenTold() throws IOException {
    TinyModel tiny = TinyModel.extract();
    Path gate = directory.resolve("gate");
    List<String> args = shortTraining(tiny, gate);
    Run first = answering("", args);
    assertEquals(ExitCode.OK, first.exitCode(), first::err);
    Map<String, String> before = files(gate);
    assertEquals(Set.of("router.json", "router.safetensors"), before.keySet());

    Run refused = Run.with(Plugins::discover, "y\n", args.toArray(String[]::new));
    assertEquals(ExitCode.USAGE, refused.exitCode(), "nobody is there to be asked");
    assertTrue(refused.err().contains("--force"), refused::err);
    Run declined = answering("n\n", args);
    assertEquals(ExitCode.USAGE, declined.exitCode());
    assertTrue(declined.err().contains("Replace it? [y/N]"), declined::err);
    assertEquals(before, files(gate));

    args.addAll(List.of("--seed", "7"));
    Run answered = answering("y\n", args);
    assertEquals(ExitCode.OK, answered.exitCode(), answered::err);
    assertReplaced(gate, before);
    Map<String, String> between = files(gate);
    args.addAll(List.of("--seed", "8", "--force"));
    args.subList(args.indexOf("--seed"), args.indexOf("--seed") + 2).clear();
    Run forced = Run.with(Plugins::discover, "x", args.toArray(String[]::new));
    assertEquals(ExitCode.OK, forced.exitCode(), forced::err);
    assertReplaced(gate, between);

    List<String> use = new ArrayList<>(List.of("generate", "--json", "-n", "3", "-p", "And"));
    use.addAll(List.of("--model", tiny.base().toString(), "--router", "gate"));
    use.addAll(List.of("--router-option", "path=" + gate));
    for (String name : List.of("scripture", "jargon")) {
      use.add("--adapter=" + name + "=" + tiny.adapter(name));
    }
    Run generated = lorikeet(use.toArray(String[]::new));
    assertEquals(ExitCode.OK, generated.exitCode(), generated::err);
  }

  /** A gate is two files, whatever it replaced. */
  private static void assertReplaced(Path gate, Map<String, String> before) throws IOException {
    Map<String, String> after = files(gate);
    assertEquals(2, after.size(), () -> "files: " + after.keySet());
    String weights =
        new ObjectMapper().readTree(gate.resolve("router.json").toFile()).get("weights").asText();
    assertTrue(after.containsKey(weights), () -> weights + " in " + after.keySet());
    assertFalse(before.containsValue(after.get(weights)), "other weights");
  }

  @Test
  void aGateThatDoesNotFitTheModelIsRefusedInOneLine() throws IOException {
    TinyModel tiny = TinyModel.extract();
    String json = Files.readString(tiny.layerGate().resolve("router.json"));
    Map<String, String> edits = new LinkedHashMap<>();
    edits.put("\"layers\" : 6=>\"layers\" : 5", "gate.weight");
    edits.put("\"hidden_size\" : 256=>\"hidden_size\" : 128", "gate.weight");
    edits.put("\"jargon\", =>", "gate.weight");
    edits.put("\"jargon\"=>\"slang\"", "slang");
    edits.put("\"layer\"=>\"all\"", "scope: expected token or layer");
    for (Map.Entry<String, String> edit : edits.entrySet()) {
      String[] change = edit.getKey().split("=>", -1);
      assertTrue(json.contains(change[0]), change[0]);
      Path gate = Files.createDirectories(directory.resolve("edited"));
      Files.writeString(gate.resolve("router.json"), json.replace(change[0], change[1]));
      Files.copy(
          tiny.layerGate().resolve("router.safetensors"),
          gate.resolve("router.safetensors"),
          StandardCopyOption.REPLACE_EXISTING);
      Run run = lorikeet("router", "evaluate", "--documents", "1", "--gate", "mine=" + gate);
      assertEquals(ExitCode.FAILURE, run.exitCode(), run::err);
      assertEquals(1, run.err().lines().count(), run::err);
      assertTrue(run.err().startsWith("lorikeet: ROUTER_FAILED: "), run::err);
      assertTrue(run.err().contains(edit.getValue()), run::err);
    }
    Run missing = lorikeet("router", "evaluate", "--gate", "mine=" + directory.resolve("none"));
    assertEquals(ExitCode.FAILURE, missing.exitCode(), missing::err);
    assertTrue(missing.err().contains("router.json"), missing::err);
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
  void wrongUsageIsSaidBeforeAModelLoads() {
    assertUsage("--text", "router", "train", "--out", "x", "--model", "m", "--adapter", "a=b");
    assertUsage("--out", "router", "train");
    Run alone = Run.with(Plugins::discover, "", "router");
    assertEquals(ExitCode.USAGE, alone.exitCode());
    assertTrue(alone.err().contains("train or evaluate"), alone.err());
    assertUsage("--decay", "router", "train", "--out", "x", "--decay", "1");
    assertUsage("--decay", "router", "train", "--out", "x", "--decay", "0.5", "--context", "none");
    assertUsage("--top-k", "router", "train", "--out", "x", "--top-k", "5");
    assertUsage("[TOKEN, LAYER]", "router", "train", "--out", "x", "--scope", "request");
    assertUsage("--context", "router", "train", "-o", "x", "--scope", "layer", "--context", "mean");
    assertUsage("--router", "router", "evaluate", "--router-option", "path=x");
  }

  private static void assertUsage(String expected, String... args) {
    Run run = lorikeet(args);
    assertEquals(ExitCode.USAGE, run.exitCode(), run::err);
    assertTrue(run.err().contains(expected), run::err);
  }

  @Test
  void textsAndOutputAreCheckedBeforeAnythingIsLearned() throws IOException {
    Path empty = Files.writeString(directory.resolve("empty.txt"), "\n");
    Path text = Files.writeString(directory.resolve("text.txt"), "some words of text");
    String[] train = {"router", "train", "-m", "m", "-a", "a=x", "-a", "b=y", "-t", "a=" + text};
    for (Path wrong : List.of(empty, directory.resolve("missing.txt"), directory)) {
      Run run = lorikeet(with(train, "-t", "b=" + wrong, "--out", "x"));
      assertEquals(ExitCode.FAILURE, run.exitCode(), run::err);
      assertEquals(1, run.err().lines().count(), run::err);
      assertTrue(run.err().contains(String.valueOf(wrong.getFileName())), run::err);
    }
    Run evaluate =
        lorikeet(
            "router",
            "evaluate",
            "-m",
            "m",
            "-a",
            "a=x",
            "-a",
            "b=y",
            "-t",
            "a=" + text,
            "-t",
            "b=" + text);
    assertEquals(ExitCode.USAGE, evaluate.exitCode(), evaluate::err);
    assertTrue(evaluate.err().contains("--gate"), evaluate::err);
    Run file = lorikeet("router", "train", "--out", text.toString());
    assertEquals(ExitCode.FAILURE, file.exitCode(), file::err);
    assertTrue(file.err().contains("text.txt"), file::err);
  }

  private static String[] with(String[] first, String... more) {
    List<String> all = new ArrayList<>(List.of(first));
    all.addAll(List.of(more));
    return all.toArray(String[]::new);
  }
}
