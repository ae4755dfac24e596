package dev.lorikeet.jlama.hub;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Path;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class ModelNameTest {
  @ParameterizedTest
  @CsvSource({
    "tjake/Llama-3.2-1B-Instruct-JQ4, tjake_Llama-3.2-1B-Instruct-JQ4",
    "a/b@main, a_b",
    "a/b@v1.0, a_b@v1.0",
    "01-ai/Yi_x, 01-ai_Yi_x",
    "a/b@refs/pr/3, a_b@refs%2Fpr%2F3"
  })
  void namesHaveDirectories(String text, String folder) {
    ModelName name = ModelName.parse(text);
    assertEquals(folder, name.folder());
    assertEquals(text.replace("@main", ""), name.toString());
    assertEquals(Optional.of(name), ModelName.of(Path.of(text)));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "",
        "a",
        "/",
        "a/",
        "/b",
        "a/b/c",
        "../b",
        "a/..",
        "a/.b",
        "a/b.",
        "a/b..c",
        "a--b/c",
        "a/b@",
        "a/b@..",
        "a/b@/x",
        "a/b@x/",
        "a/b@x//y",
        "a/b@x y",
        "a b/c",
        "a/b?c",
        "a/b%2f",
        "a\\b/c",
        "a/b\n",
        "a@x/b",
        "ä/b"
      })
  void otherTextsAreRefused(String text) {
    var error = assertThrows(IllegalArgumentException.class, () -> ModelName.parse(text));
    assertTrue(String.valueOf(error.getMessage()).contains("found '"), error.getMessage());
  }

  @ParameterizedTest
  @ValueSource(strings = {"/a/b", "a", ".", "./a/b", "a/b/c", "../a", "", "adapters/law.d/x"})
  void otherPathsAreNoNames(String path) {
    assertEquals(Optional.empty(), ModelName.of(Path.of(path)));
  }

  @Test
  void partsAreBounded() {
    assertThrows(IllegalArgumentException.class, () -> ModelName.parse("a/" + "b".repeat(97)));
    assertEquals("a_" + "b".repeat(96), ModelName.parse("a/" + "b".repeat(96)).folder());
  }
}
