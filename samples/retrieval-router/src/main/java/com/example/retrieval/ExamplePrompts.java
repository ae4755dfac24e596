package com.example.retrieval;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** Reads what prompts each adapter is for. */
final class ExamplePrompts {
  private static final String TEXT = ".txt";

  private ExamplePrompts() {}

  /**
   * Reads a JSON file, an object of adapters with arrays of prompts, or a directory of files {@code
   * ADAPTER.txt} with a prompt a line.
   *
   * @throws IllegalArgumentException that names the file and what is wrong with it
   */
  static Map<String, List<String>> read(Path path) {
    try {
      Map<String, List<String>> examples = Files.isDirectory(path) ? directory(path) : json(path);
      if (examples.isEmpty()) {
        throw wrong(path, "expected examples for at least one adapter, found none");
      }
      examples.forEach(
          (adapter, prompts) -> {
            if (prompts.isEmpty()) {
              throw wrong(path, "adapter '" + adapter + "': expected prompts, found none");
            }
          });
      return examples;
    } catch (IOException e) {
      throw new IllegalArgumentException(
          "option 'examples': expected a readable file or directory, found " + e, e);
    }
  }

  private static Map<String, List<String>> directory(Path directory) throws IOException {
    Map<String, List<String>> examples = new TreeMap<>();
    try (DirectoryStream<Path> files = Files.newDirectoryStream(directory, "*" + TEXT)) {
      for (Path file : files) {
        String name = String.valueOf(file.getFileName());
        examples.put(
            name.substring(0, name.length() - TEXT.length()),
            Files.readAllLines(file).stream().filter(line -> !line.isBlank()).toList());
      }
    }
    return examples;
  }

  private static Map<String, List<String>> json(Path file) throws IOException {
    JsonNode root;
    try {
      root = new ObjectMapper().readTree(Files.readAllBytes(file));
    } catch (JsonProcessingException e) {
      throw wrong(file, "expected JSON, found " + e.getOriginalMessage());
    }
    if (!(root instanceof ObjectNode adapters)) {
      throw wrong(file, "expected an object of adapters with arrays of prompts");
    }
    Map<String, List<String>> examples = new TreeMap<>();
    for (Map.Entry<String, JsonNode> adapter : adapters.properties()) {
      List<String> prompts = new ArrayList<>();
      for (JsonNode prompt : adapter.getValue()) {
        if (prompt.isTextual()) {
          prompts.add(prompt.textValue());
        }
      }
      if (!adapter.getValue().isArray() || prompts.size() != adapter.getValue().size()) {
        throw wrong(
            file,
            "adapter '"
                + adapter.getKey()
                + "': expected an array of texts, found "
                + adapter.getValue());
      }
      examples.put(adapter.getKey(), prompts);
    }
    return examples;
  }

  private static IllegalArgumentException wrong(Path file, String what) {
    return new IllegalArgumentException("option 'examples': " + file + ": " + what);
  }
}
