package dev.lorikeet.cuda.emulation;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;

/** Lets g++ judge a generated source; its static assertions are the test. */
public final class NativeCompiler {
  private NativeCompiler() {}

  /** Returns whether g++ is on the path. */
  public static boolean isThere() {
    return Stream.of(System.getenv().getOrDefault("PATH", "").split(":", -1))
        .anyMatch(folder -> Files.isExecutable(Path.of(folder, "g++")));
  }

  /** Fails unless the source compiles. */
  public static void check(String source, String... options)
      throws IOException, InterruptedException {
    Path file = Files.createTempFile("lorikeet", ".cpp");
    try {
      Files.writeString(file, source);
      List<String> command = new ArrayList<>(List.of("g++", "-std=c++20", "-fsyntax-only"));
      command.addAll(List.of(options));
      command.add(file.toString());
      Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
      String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
      assertEquals(0, process.waitFor(), output);
    } finally {
      Files.delete(file);
    }
  }
}
