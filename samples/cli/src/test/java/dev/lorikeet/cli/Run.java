package dev.lorikeet.cli;

import static java.nio.charset.StandardCharsets.UTF_8;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.lorikeet.Plugins;
import dev.lorikeet.cli.console.Console;
import dev.lorikeet.cli.fake.FakePlugins;
import java.io.ByteArrayInputStream;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.util.Map;
import java.util.Optional;
import java.util.function.Supplier;
import org.jline.terminal.Terminal;

/**
 * What came of a command that ran in this process.
 *
 * @param exitCode its exit code
 * @param out its output
 * @param err its error output
 */
record Run(int exitCode, String out, String err) {
  /** Runs a command on the fakes, its output in a pipe. */
  static Run of(String... args) {
    return with(FakePlugins::discover, "", args);
  }

  static Run with(Supplier<Plugins> plugins, String input, String... args) {
    return on(plugins, input, Optional.empty(), args);
  }

  static Run on(
      Supplier<Plugins> plugins, String input, Optional<Terminal> terminal, String... args) {
    return in(Map.of("NO_COLOR", "1", "HF_HUB_OFFLINE", "1"), plugins, input, terminal, args);
  }

  /** Runs a command with environment variables. */
  static Run in(Map<String, String> environment, Supplier<Plugins> plugins, String... args) {
    return in(environment, plugins, "", Optional.empty(), args);
  }

  private static Run in(
      Map<String, String> environment,
      Supplier<Plugins> plugins,
      String input,
      Optional<Terminal> terminal,
      String... args) {
    StringWriter out = new StringWriter();
    StringWriter err = new StringWriter();
    Console console =
        new Console(
            new ByteArrayInputStream(input.getBytes(UTF_8)),
            !input.isEmpty(),
            new PrintWriter(out),
            new PrintWriter(err),
            environment,
            plugins,
            () -> terminal);
    int exitCode = Main.run(console, args);
    return new Run(
        exitCode, out.toString().replace("\r\n", "\n"), err.toString().replace("\r\n", "\n"));
  }

  JsonNode json() {
    try {
      return new ObjectMapper().readTree(out);
    } catch (JsonProcessingException e) {
      throw new AssertionError("expected JSON, found: " + out, e);
    }
  }
}
