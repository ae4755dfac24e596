package dev.lorikeet.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import dev.lorikeet.Plugins;
import dev.lorikeet.cli.console.ExitCode;
import dev.lorikeet.tiny.TinyModel;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class TrainCommandTest {
  private static final Path BASE = TinyModel.extract().base();

  @TempDir Path directory;

  private static Run lorikeet(Object... args) {
    String[] words = List.of(args).stream().map(Object::toString).toArray(String[]::new);
    return Run.with(Plugins::discover, "", words);
  }

  private Path write(String name, String... lines) throws IOException {
    return Files.writeString(directory.resolve(name), String.join("\n", lines) + "\n");
  }

  @Test
  void tasksOfAFileAreLearnedTogetherAndServed() throws IOException {
    write(
        "sea.jsonl",
        "{\"text\": \"The ship went down to the sea.\"}",
        "{\"text\": \"The sea was calm, and the ship was old.\"}",
        "{\"text\": \"Call me when the whale is seen.\"}");
    write(
        "pairs.jsonl",
        "{\"prompt\": \"The people\", \"chosen\": \" of the sea\", \"rejected\": \" of the hill\"}");
    Path tasks =
        write(
            "tasks.yaml",
            "defaults: {r: 4, lora_alpha: 8, learning_rate: 5e-3, batch_size: 1}",
            "tasks:",
            "  - {name: sea, data: sea.jsonl, max_steps: 8, validation: 0.34}",
            "  - {name: pairs, data: pairs.jsonl, objective: dpo, max_steps: 4}");
    Path out = directory.resolve("out");
    Run run = lorikeet("train", "-m", BASE, "--tasks", tasks, "-o", out, "--json");
    assertEquals(ExitCode.OK, run.exitCode(), run::err);
    assertTrue(run.err().contains("memory: base "), run::err);
    JsonNode sea = run.json().get(0);
    assertEquals("sea", sea.get("task").asText());
    assertEquals(8, sea.get("steps").asInt());
    assertTrue(sea.get("last_loss").asDouble() < sea.get("first_loss").asDouble(), run::out);
    assertTrue(sea.get("validation_loss").asDouble() > 0, run::out);
    assertEquals(4, run.json().get(1).get("steps").asInt());
    assertEquals(8, Files.readAllLines(out.resolve("sea.jsonl")).size());
    assertFalse(Files.exists(out.resolve("sea.checkpoint")));
    String plot = Files.readString(out.resolve("losses.svg"));
    assertTrue(plot.contains("<svg") && plot.contains("</svg>"), plot);

    Run generate =
        lorikeet(
            "generate",
            "-m",
            BASE,
            "-a",
            "sea=" + out.resolve("sea"),
            "-a",
            "pairs=" + out.resolve("pairs"),
            "--each",
            "-p",
            "The ship",
            "-n",
            "4",
            "--json");
    assertEquals(ExitCode.OK, generate.exitCode(), generate::err);
    assertEquals(3, generate.json().get("generations").size(), generate::out);

    Run demo = lorikeet("demo", "--adapters", out, "-p", "The ship", "-n", "4", "--json");
    assertEquals(ExitCode.OK, demo.exitCode(), demo::err);
    assertEquals(3, demo.json().get("generations").size(), demo::out);
    assertTrue(demo.out().contains("\"pairs\""), demo::out);
    Run nothing = lorikeet("demo", "--adapters", directory.resolve("out/sea"));
    assertEquals(ExitCode.USAGE, nothing.exitCode());
    assertTrue(nothing.err().contains("--adapters: expected"), nothing::err);
  }

  @Test
  void expertsAndTheirGateAreLearnedTogetherAndServed() throws IOException {
    Path data = write("data.jsonl", "{\"text\": \"The ship went down to the sea.\"}");
    Path out = directory.resolve("out");
    Run run =
        lorikeet(
            "train",
            "-m",
            BASE,
            "--data",
            data,
            "--name",
            "mix",
            "--experts",
            "2",
            "--rank",
            "2",
            "--load-balancing",
            "0.1",
            "--steps",
            "3",
            "-o",
            out);
    assertEquals(ExitCode.OK, run.exitCode(), run::err);
    assertTrue(
        Files.readAllLines(out.resolve("mix.jsonl")).getLast().contains("\"balance\""), run::out);
    Run generate =
        lorikeet(
            "generate",
            "-m",
            BASE,
            "-a",
            "mix-1=" + out.resolve("mix/mix-1"),
            "-a",
            "mix-2=" + out.resolve("mix/mix-2"),
            "--router",
            "gate",
            "--router-option",
            "path=" + out.resolve("mix"),
            "-p",
            "The ship",
            "-n",
            "4",
            "--json");
    assertEquals(ExitCode.OK, generate.exitCode(), generate::err);
    assertEquals(1, generate.json().get("generations").size(), generate::out);
    Run without = lorikeet("train", "-m", BASE, "--data", data, "--top-k", "2", "-o", out);
    assertEquals(ExitCode.USAGE, without.exitCode());
    assertTrue(without.err().contains("--experts"), without::err);
  }

  @Test
  void oneTaskByOptions() throws IOException {
    Path data = write("data.jsonl", "{\"ids\": [5, 6, 7, 8, 9]}", "{\"ids\": [5, 6, 7]}");
    Path out = directory.resolve("out");
    Run run =
        lorikeet(
            "train",
            "-m",
            BASE,
            "--data",
            data,
            "--name",
            "one",
            "--rank",
            "4",
            "--alpha",
            "4",
            "--steps",
            "3",
            "--target-modules",
            "q_proj,v_proj",
            "--max-grad-norm",
            "1",
            "--threads",
            "1",
            "-o",
            out);
    assertEquals(ExitCode.OK, run.exitCode(), run::err);
    assertTrue(run.out().contains(out.resolve("one").toString()), run::out);
    String config = Files.readString(out.resolve("one/adapter_config.json"));
    assertTrue(config.contains("q_proj") && !config.contains("k_proj"), config);

    Run again = lorikeet("train", "-m", BASE, "--data", data, "--name", "one", "-o", out);
    assertEquals(ExitCode.FAILURE, again.exitCode());
    assertTrue(again.err().contains("INVALID_CONFIG"), again::err);
  }

  @Test
  void whatCannotBeLearnedIsToldOf() throws IOException {
    Path bad = write("bad.jsonl", "{\"text\": \"A ship.\"}", "{\"txt\": \"A ship.\"}");
    Path out = directory.resolve("out");
    Run run = lorikeet("train", "-m", BASE, "--data", bad, "-o", out);
    assertEquals(ExitCode.FAILURE, run.exitCode());
    assertTrue(run.err().contains("bad.jsonl") && run.err().contains("line 2"), run::err);
    Run module = lorikeet("train", "-m", BASE, "--data", bad, "-o", out, "--target-modules", "q,v");
    assertEquals(ExitCode.USAGE, module.exitCode());
    assertTrue(module.err().contains("q_proj"), module::err);
    assertEquals(ExitCode.USAGE, lorikeet("train", "-m", BASE, "-o", out).exitCode());
    Run both =
        lorikeet("train", "-m", BASE, "--data", bad, "--steps", "1", "--epochs", "1", "-o", out);
    assertEquals(ExitCode.USAGE, both.exitCode());
    assertFalse(Files.exists(out));
  }

  @Test
  void stagesInProcessesLearnTheSame() throws IOException {
    Path data = write("data.jsonl", "{\"ids\": [5, 6, 7, 8, 9]}", "{\"ids\": [5, 6, 7]}");
    Path one = directory.resolve("one");
    Path two = directory.resolve("two");
    for (Path out : List.of(one, two)) {
      List<Object> words =
          new ArrayList<>(
              List.of("train", "-m", BASE, "--data", data, "--rank", "4", "--steps", "4"));
      words.addAll(List.of("--max-grad-norm", "0.5", "--batch-size", "1", "-o", out));
      if (out.equals(two)) {
        words.addAll(List.of("--stages", "2", "--pipeline-schedule", "1f1b"));
      }
      Run run = lorikeet(words.toArray());
      assertEquals(ExitCode.OK, run.exitCode(), run::err);
      assertEquals(out.equals(two), run.err().contains("pipeline: 2 stages"), run::err);
    }
    assertArrayEquals(
        Files.readAllBytes(one.resolve("adapter/adapter_model.safetensors")),
        Files.readAllBytes(two.resolve("adapter/adapter_model.safetensors")));
    assertEquals(List.of(), ProcessHandle.current().children().toList());
  }

  @Test
  void wrongPipelinesAreToldOf() throws IOException {
    Path data = write("data.jsonl", "{\"ids\": [5, 6, 7, 8, 9]}");
    Path out = directory.resolve("out");
    Run many = lorikeet("train", "-m", BASE, "--data", data, "-o", out, "--stages", "99");
    assertEquals(ExitCode.FAILURE, many.exitCode());
    assertTrue(many.err().contains("stages") && many.err().contains("99"), many::err);
    Run schedule =
        lorikeet("train", "-m", BASE, "--data", data, "-o", out, "--pipeline-schedule", "chimes");
    assertEquals(ExitCode.USAGE, schedule.exitCode());
    assertTrue(schedule.err().contains("lora-aware"), schedule::err);
    Run secret =
        lorikeet(
            "train",
            "-m",
            BASE,
            "--data",
            data,
            "-o",
            out,
            "--stages",
            "2",
            "--listen",
            "127.0.0.1:0");
    assertEquals(ExitCode.FAILURE, secret.exitCode());
    assertTrue(secret.err().contains("LORIKEET_SECRET"), secret::err);
    Run nobody =
        Run.in(
            Map.of("LORIKEET_SECRET", "a secret of some length"),
            Plugins::discover,
            "member",
            "--join",
            "127.0.0.1:9",
            "--timeout",
            "1");
    assertEquals(ExitCode.FAILURE, nobody.exitCode());
    assertTrue(nobody.err().contains("MEMBER_LOST: joining 127.0.0.1:9"), nobody::err);
    Run port = lorikeet("member", "--join", "127.0.0.1");
    assertEquals(ExitCode.USAGE, port.exitCode());
    assertTrue(port.err().contains("HOST:PORT"), port::err);
  }
}
