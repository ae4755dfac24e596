package dev.lorikeet.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;

import com.fasterxml.jackson.databind.JsonNode;
import dev.lorikeet.Plugins;
import dev.lorikeet.cli.console.ExitCode;
import dev.lorikeet.tiny.TinyModel;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

/** Commands with more sequences than the model's queue takes at once. */
class FullQueueTest {
  private static final TinyModel TINY = TinyModel.extract();
  private static final int PROMPTS = 9;

  /** Runs a command over base and adapter with a queue of some length. */
  private static JsonNode run(String command, int queue, String... more) {
    List<String> arguments =
        new ArrayList<>(
            List.of(command, "-m", TINY.base().toString(), "--each", "--json", "--pool-size=64M"));
    arguments.addAll(List.of("-a", "voyage=" + TINY.adapter("voyage")));
    arguments.addAll(List.of("--option", "model.max-queue=" + queue));
    arguments.addAll(List.of("--option", "model.warm-up=false"));
    for (int i = 0; i < PROMPTS; i++) {
      arguments.addAll(List.of("-p", "Chapter " + i + " of the book"));
    }
    arguments.addAll(List.of(more));
    Run run = Run.with(Plugins::discover, "", arguments.toArray(String[]::new));
    assertEquals(ExitCode.OK, run.exitCode(), run::err);
    return run.json();
  }

  private static List<String> texts(JsonNode json) {
    List<String> texts = new ArrayList<>();
    json.get("generations").forEach(each -> texts.add(each.get("text").asText()));
    assertEquals(2 * PROMPTS, texts.size());
    return texts;
  }

  @Test
  void allPromptsAreAnsweredAsWithALongQueue() {
    List<String> expected = texts(run("generate", 100, "-n", "5"));
    assertEquals(expected, texts(run("generate", 1, "-n", "5")));
    assertEquals(expected, texts(run("generate", 3, "-n", "5")));
  }

  @Test
  void allTextsAreScoredAsWithALongQueue() {
    JsonNode expected = run("score", 100).get("scores");
    assertEquals(2 * PROMPTS, expected.size());
    assertEquals(expected, run("score", 2).get("scores"));
  }
}
