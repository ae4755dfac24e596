package dev.lorikeet.cli;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.cli.console.ExitCode;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
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
}
