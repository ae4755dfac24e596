package dev.lorikeet.training.data;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.text.ChatTemplate;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;

/** A folder for files of examples, and what is read from them. */
record ExampleFiles(Path folder) {
  /** Single quotes stand for double ones. */
  Path lines(String... lines) {
    return bytes(
        (String.join("\n", lines) + "\n").replace('\'', '"').getBytes(StandardCharsets.UTF_8));
  }

  Path bytes(byte[] bytes) {
    try {
      return Files.write(folder.resolve("data.jsonl"), bytes);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  ChatTemplate template(String text) {
    try {
      Files.writeString(folder.resolve("chat_template.jinja"), text);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    return ChatTemplate.read(folder).orElseThrow();
  }

  /** Checks that a file is refused with these words in the message, which is returned. */
  static String refused(ExampleReader reader, Path file, String... words) {
    LorikeetException e = assertThrows(LorikeetException.class, () -> reader.read(file));
    assertEquals(LorikeetException.Code.DATA_INVALID, e.code(), e::getMessage);
    for (String word : words) {
      assertTrue(e.getMessage().contains(word), () -> word + " is not in: " + e.getMessage());
    }
    return e.getMessage();
  }

  static Example.Text onlyText(ExampleReader reader, Path file) {
    ExampleSet set = reader.read(file);
    assertEquals(1, set.examples().size());
    return (Example.Text) set.examples().getFirst();
  }

  static Example.Preference onlyPreference(ExampleReader reader, Path file) {
    ExampleSet set = reader.read(file);
    assertTrue(set.preferences());
    assertEquals(1, set.examples().size());
    return (Example.Preference) set.examples().getFirst();
  }
}
