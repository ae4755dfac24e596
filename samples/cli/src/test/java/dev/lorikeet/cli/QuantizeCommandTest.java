package dev.lorikeet.cli;

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
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class QuantizeCommandTest {
  private static final Path BASE = TinyModel.extract().base();

  @TempDir Path directory;

  private static Run lorikeet(Object... args) {
    String[] words = List.of(args).stream().map(Object::toString).toArray(String[]::new);
    return Run.with(Plugins::discover, "", words);
  }

  @Test
  void aQuantizedModelGeneratesAndIsReplacedOnlyByForce() throws IOException {
    Path target = directory.resolve("tiny-JQ4");
    Run run = lorikeet("quantize", BASE, "--output", target, "--type", "q4");
    assertEquals(ExitCode.OK, run.exitCode(), run::err);
    assertTrue(run.out().contains(" -> " + target + ": llama, Q4, "), run::out);
    Run generate =
        lorikeet(
            "generate", "-m", target, "-p", "The people of the", "--max-tokens", "8", "--json");
    assertEquals(ExitCode.OK, generate.exitCode(), generate::err);
    assertFalse(generate.json().at("/generations/0/text").asText().isEmpty());

    Run again = lorikeet("quantize", BASE, "-o", target);
    assertEquals(ExitCode.USAGE, again.exitCode());
    assertTrue(again.err().contains("expected no model there, or --force, found"), again::err);
    JsonNode forced = lorikeet("quantize", BASE, "-o", target, "--force", "--json").json();
    assertEquals(target.toString(), forced.get("path").asText());
    assertEquals("Q4", forced.get("type").asText());
    assertEquals(Files.size(target.resolve("model.safetensors")), forced.get("bytes").asLong());
  }

  @Test
  void whatCannotBeQuantizedIsToldOf() {
    Run nothing = lorikeet("quantize", directory.resolve("nothing"));
    assertEquals(ExitCode.FAILURE, nothing.exitCode());
    assertTrue(nothing.err().startsWith("lorikeet: MODEL_"), nothing::err);
    Run inside = lorikeet("quantize", BASE, "-o", BASE.resolve("inside"));
    assertEquals(ExitCode.USAGE, inside.exitCode());
    assertTrue(inside.err().contains("apart from"), inside::err);
    Run type = lorikeet("quantize", BASE, "-o", directory.resolve("other"), "--type", "I8");
    assertEquals(ExitCode.USAGE, type.exitCode());
    assertEquals(ExitCode.USAGE, lorikeet("quantize").exitCode());
  }
}
