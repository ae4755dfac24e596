package com.example.retrieval;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.routing.RouterConfig;
import dev.lorikeet.shape.ModelInfo;
import dev.lorikeet.shape.ModelShape;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class OptionsTest {
  @TempDir Path directory;

  @Test
  void examplesAreReadFromJsonOrFromADirectory() throws IOException {
    Path json = directory.resolve("examples.json");
    Files.writeString(json, "{\"b\": [\"three\"], \"a\": [\"one\", \"two\"]}");
    Map<String, List<String>> expected = Map.of("a", List.of("one", "two"), "b", List.of("three"));
    assertEquals(expected, ExamplePrompts.read(json));
    Files.writeString(directory.resolve("a.txt"), "one\n\ntwo\n");
    Files.writeString(directory.resolve("b.txt"), "three");
    assertEquals(expected, ExamplePrompts.read(directory));
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {"{|JSON", "[]|object", "{}|at least one", "{\"a\": []}|'a'", "{\"a\": [1]}|'a'"})
  void whatIsWrongWithExamplesIsToldWithTheFile(String text, String mention) throws IOException {
    Path json = Files.writeString(directory.resolve("examples.json"), text);
    String message =
        String.valueOf(
            assertThrows(IllegalArgumentException.class, () -> ExamplePrompts.read(json))
                .getMessage());
    assertTrue(message.contains(mention), message);
    assertTrue(message.contains(json.toString()), message);
  }

  @ParameterizedTest
  @CsvSource({
    "example, x, 'example'",
    "k, 0, 'k'",
    "k, 1.5, 'k'",
    "k, many, 'k'",
    "nearest, -1, 'nearest'",
    "temperature, 0, 'temperature'",
    "min-similarity, 2, 'min-similarity'",
    "min-similarity, NaN, 'min-similarity'",
  })
  void whatIsWrongWithAnOptionIsToldByName(String key, String value, String mention) {
    ModelInfo model =
        ModelInfo.builder(
                Path.of("none"),
                "llama",
                ModelShape.builder()
                    .layers(1)
                    .hidden(8)
                    .intermediate(8)
                    .heads(1)
                    .kvHeads(1)
                    .headDim(8)
                    .vocabulary(10)
                    .build())
            .weightType("F32")
            .maxPositions(16)
            .build();
    RouterConfig config =
        RouterConfig.of(model).withOptions(Map.of("examples", directory.toString(), key, value));
    String message =
        String.valueOf(
            assertThrows(
                    IllegalArgumentException.class,
                    () -> new RetrievalRouterProvider().open(config))
                .getMessage());
    assertTrue(message.contains("option '" + mention.replace("'", "") + "'"), message);
  }
}
