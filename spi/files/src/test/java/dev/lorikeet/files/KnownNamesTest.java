package dev.lorikeet.files;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.lorikeet.LorikeetException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;

class KnownNamesTest {
  private static final List<String> KEYS = List.of("prompt", "rank_pattern", "r");

  @Test
  void theNearestNameIsSuggested() {
    assertEquals(
        "unknown key 'promt'; did you mean 'prompt'? known are prompt, r, rank_pattern",
        KnownNames.unknown("key", "promt", KEYS));
    assertEquals(
        "unknown key 'Rank-Patterns'; did you mean 'rank_pattern'? known are prompt, r,"
            + " rank_pattern",
        KnownNames.unknown("key", "Rank-Patterns", KEYS));
  }

  @Test
  void nothingIsSuggestedForWhatIsLikeNone() {
    assertEquals(
        "unknown key 'dropout'; known are prompt, r, rank_pattern",
        KnownNames.unknown("key", "dropout", KEYS));
  }

  @Test
  void longNamesAreCutAndControlCharactersHidden() {
    String message = KnownNames.unknown("key", "\n" + "x".repeat(100_000), KEYS);
    assertEquals("unknown key '?" + "x".repeat(199) + "...'", message.substring(0, 217));
  }

  @Test
  void keysOfAFileAreChecked() {
    JsonFile file =
        JsonFile.parse(
            Faults.DATA,
            "a.json",
            ByteBuffer.wrap("{\"txt\": 1}".getBytes(StandardCharsets.UTF_8)));
    file.checkKeys(Set.of("txt", "text"));
    LorikeetException e =
        assertThrows(LorikeetException.class, () -> file.checkKeys(Set.of("text")));
    assertEquals(LorikeetException.Code.DATA_INVALID, e.code());
    assertEquals("a.json: unknown key 'txt'; did you mean 'text'? known are text", e.getMessage());
  }
}
