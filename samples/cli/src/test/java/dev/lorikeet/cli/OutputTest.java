package dev.lorikeet.cli;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.cli.console.ExitCode;
import dev.lorikeet.tiny.TinyModel;
import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;

/** A command in a process of its own whose standard output takes no more. */
@Timeout(300)
@EnabledOnOs(OS.LINUX)
class OutputTest {
  @TempDir Path directory;

  private ProcessBuilder lorikeet(String... args) {
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    ManagementFactory.getRuntimeMXBean().getInputArguments().stream()
        .filter(flag -> flag.startsWith("--"))
        .forEach(command::add);
    command.addAll(List.of("-cp", System.getProperty("java.class.path"), Main.class.getName()));
    command.addAll(List.of(args));
    return new ProcessBuilder(command)
        .redirectError(directory.resolve("err").toFile())
        .redirectInput(new File("/dev/null"));
  }

  private static String[] endless() {
    return new String[] {
      "generate",
      "--model",
      TinyModel.extract().base().toString(),
      "--pool-size",
      "64M",
      "--prompt",
      "The ship",
      "--json",
      "--stream",
      "--ignore-eos",
      "--max-tokens",
      "1000"
    };
  }

  /** Returns what the command said, without what the JVM says of the Vector API. */
  private String err() throws IOException {
    return Files.readString(directory.resolve("err"), UTF_8)
        .replaceFirst("WARNING: Using incubator modules: .*\\R", "");
  }

  @Test
  void aCommandThatNobodyReadsEnds() throws Exception {
    Process process = lorikeet(endless()).start();
    try (InputStream out = process.getInputStream()) {
      assertTrue(out.read() >= 0); // the first byte, as head would read it
    }
    assertTrue(process.waitFor(120, TimeUnit.SECONDS), "still running");
    assertEquals(ExitCode.UNREAD, process.exitValue(), this::shown);
    assertEquals("", err());
  }

  @Test
  void aFullDiskIsToldApartFromADefect() throws Exception {
    Process process = lorikeet(endless()).redirectOutput(new File("/dev/full")).start();
    assertTrue(process.waitFor(120, TimeUnit.SECONDS), "still running");
    assertEquals(ExitCode.STORAGE, process.exitValue(), this::shown);
    assertTrue(err().startsWith("lorikeet: STORAGE_FULL: "), this::shown);
    assertEquals(1, err().lines().count(), this::shown);
  }

  @Test
  void aFullDiskIsToldOfTheHelpToo() throws Exception {
    Process process = lorikeet("--help").redirectOutput(new File("/dev/full")).start();
    assertTrue(process.waitFor(120, TimeUnit.SECONDS), "still running");
    assertEquals(ExitCode.STORAGE, process.exitValue(), this::shown);
  }

  private String shown() {
    try {
      return err();
    } catch (IOException e) {
      return e.toString();
    }
  }
}
