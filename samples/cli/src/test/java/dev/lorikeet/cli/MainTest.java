package dev.lorikeet.cli;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.cli.console.ExitCode;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;

/** The command as a process of its own, its output in a pipe. */
class MainTest {
  private record Finished(int exitCode, String output) {}

  private static Finished lorikeet(String... args) throws IOException, InterruptedException {
    List<String> command =
        new ArrayList<>(
            List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "--enable-native-access=ALL-UNNAMED",
                "-cp",
                System.getProperty("java.class.path"),
                Main.class.getName()));
    command.addAll(List.of(args));
    Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
    process.getOutputStream().close();
    String output = new String(process.getInputStream().readAllBytes(), UTF_8);
    return new Finished(process.waitFor(), output);
  }

  @Test
  void theProcessEndsWithTheExitCodeOfTheCommand() throws Exception {
    Finished version = lorikeet("--version");
    assertEquals(ExitCode.OK, version.exitCode(), version::output);
    assertTrue(version.output().startsWith("lorikeet "), version::output);

    Finished usage = lorikeet("demo", "--no-such-option");
    assertEquals(ExitCode.USAGE, usage.exitCode(), usage::output);
  }

  @Test
  void theTableOfTheReadmeNamesEveryCommand() throws IOException {
    Pattern row = Pattern.compile("\\| `([a-z]+(?: [a-z]+)?)` \\| .*");
    List<String> told =
        Files.readAllLines(Path.of("README.md")).stream()
            .takeWhile(line -> !line.startsWith("## "))
            .map(row::matcher)
            .filter(Matcher::matches)
            .map(found -> found.group(1))
            .filter(name -> !name.equals("bench")) // a program of its own
            .toList();
    List<String> commands = new ArrayList<>();
    for (String name : commandsIn(Run.of("--help").out())) {
      List<String> below = commandsIn(Run.of(name, "--help").out());
      below.forEach(sub -> commands.add(name + " " + sub));
      if (below.isEmpty()) {
        commands.add(name);
      }
    }
    assertEquals(Set.copyOf(commands), Set.copyOf(told));
  }

  private static List<String> commandsIn(String help) {
    return help.lines()
        .dropWhile(line -> !line.startsWith("Commands:"))
        .skip(1)
        .takeWhile(line -> line.startsWith("  "))
        .filter(line -> line.matches("  [a-z].*"))
        .map(line -> line.strip().split(" ", 2)[0])
        .toList();
  }
}
