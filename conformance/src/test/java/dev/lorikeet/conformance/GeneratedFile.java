package dev.lorikeet.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** A table in this folder that a test keeps current. */
final class GeneratedFile {
  private GeneratedFile() {}

  /** Checks the file, or writes it anew where {@code -Dlorikeet.conformance.update=true}. */
  static void expectCurrent(String name, String content) {
    Path file = Path.of(name);
    try {
      if (Boolean.getBoolean("lorikeet.conformance.update")) {
        Files.writeString(file, content);
      }
      assertEquals(
          content,
          Files.exists(file) ? Files.readString(file) : "",
          name + ": out of date; run the tests with -Dlorikeet.conformance.update=true");
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
