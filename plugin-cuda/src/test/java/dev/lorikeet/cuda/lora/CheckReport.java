package dev.lorikeet.cuda.lora;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/**
 * The results of a check as a JSON file, which is written anew whenever something is added: a run
 * that is killed leaves what it had.
 */
final class CheckReport {
  private final Path file;
  private final Map<String, String> values = new LinkedHashMap<>();
  private final Map<String, List<String>> lists = new LinkedHashMap<>();

  CheckReport(Path file) {
    this.file = file;
  }

  /** A JSON object under construction. */
  static final class Entry {
    private final List<String> members = new ArrayList<>();

    Entry with(String name, String value) {
      members.add(quote(name) + ": " + quote(value));
      return this;
    }

    Entry with(String name, long value) {
      members.add(quote(name) + ": " + value);
      return this;
    }

    Entry with(String name, double value) {
      members.add(
          quote(name)
              + ": "
              + (Double.isFinite(value) ? String.format(Locale.ROOT, "%.3f", value) : "null"));
      return this;
    }

    @Override
    public String toString() {
      return "{" + String.join(", ", members) + "}";
    }
  }

  /** Sets a member of the report. */
  void set(String name, Entry entry) {
    values.put(name, entry.toString());
    save();
  }

  /** Appends to a list of the report. */
  void add(String list, Entry entry) {
    lists.computeIfAbsent(list, _ -> new ArrayList<>()).add(entry.toString());
    save();
  }

  private static String quote(String text) {
    StringBuilder quoted = new StringBuilder("\"");
    for (int i = 0; i < text.length(); i++) {
      char c = text.charAt(i);
      switch (c) {
        case '"', '\\' -> quoted.append('\\').append(c);
        default -> {
          if (c < ' ') {
            quoted.append(String.format(Locale.ROOT, "\\u%04x", (int) c));
          } else {
            quoted.append(c);
          }
        }
      }
    }
    return quoted.append('"').toString();
  }

  private void save() {
    List<String> members = new ArrayList<>();
    values.forEach((name, value) -> members.add(quote(name) + ": " + value));
    lists.forEach(
        (name, entries) ->
            members.add(quote(name) + ": [\n  " + String.join(",\n  ", entries) + "]"));
    Path part = file.resolveSibling(file.getFileName() + ".part");
    try {
      Files.writeString(part, "{" + String.join(",\n ", members) + "}\n");
      Files.move(part, file, StandardCopyOption.REPLACE_EXISTING);
    } catch (IOException e) {
      throw new UncheckedIOException(file.toString(), e);
    }
  }
}
