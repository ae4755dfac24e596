package dev.lorikeet.text;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.OptionalInt;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Tokens that tokenizer_config.json alone adds. */
class AddedTokensTest {
  @TempDir Path directory;

  @Test
  void tokensThatTheFileLacksAreAddedBehindTheOthers() throws IOException {
    ObjectNode file = SmallTokenizers.of("bytelevel");
    Files.writeString(directory.resolve("tokenizer.json"), file.toString());
    int next;
    int[] pieces;
    try (HfTokenizer tokenizer = HfTokenizer.open(directory)) {
      next = tokenizer.vocabularySize();
      pieces = tokenizer.encode("a<|im_start|>b<tool>", false);
    }
    String known = file.at("/added_tokens/0/content").textValue();
    int knownId = file.at("/added_tokens/0/id").intValue();
    Files.writeString(
        directory.resolve("tokenizer_config.json"),
        """
        {"added_tokens_decoder": {
          "%d": {"content": "<tool>", "special": false, "normalized": false},
          "%d": {"content": "<|im_start|>", "special": true, "normalized": false},
          "%d": {"content": "%s", "special": true},
          "x": {"content": "<none>"}}}
        """
            .formatted(next + 1, next, knownId, known));
    try (HfTokenizer tokenizer = HfTokenizer.open(directory)) {
      int[] ids = tokenizer.encode("a<|im_start|>b<tool>", false);
      int[] a = tokenizer.encode("a", false);
      int[] b = tokenizer.encode("b", false);
      assertArrayEquals(new int[] {a[0], next, b[0], next + 1}, ids);
      assertEquals("ab<tool>", tokenizer.decode(ids, true));
      assertEquals("a<|im_start|>b<tool>", tokenizer.decode(ids, false));
      assertEquals(OptionalInt.of(next), tokenizer.specialToken("<|im_start|>"));
      assertArrayEquals(new int[] {knownId}, tokenizer.encode(known, false));
      assertEquals(next + 2, tokenizer.vocabularySize());
    }
    assertEquals(
        -1, Arrays.stream(pieces).filter(id -> id >= next).findFirst().orElse(-1), "split before");
  }
}
