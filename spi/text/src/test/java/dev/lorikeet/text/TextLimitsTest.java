package dev.lorikeet.text;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertDoesNotThrow;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import ai.djl.huggingface.tokenizers.jni.TokenizersLibrary;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Random;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Texts that are too long are refused before the native library sees them, and no others. */
class TextLimitsTest {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final Path RESOURCES = Path.of("src/test/resources/dev/lorikeet/text");

  @TempDir Path directory;

  private static HfTokenizer open(String name) {
    return HfTokenizer.open(RESOURCES.resolve(name));
  }

  private HfTokenizer open(ObjectNode tokenizer) throws IOException {
    Files.write(directory.resolve("tokenizer.json"), JSON.writeValueAsBytes(tokenizer));
    return HfTokenizer.open(directory);
  }

  private static void assertRefused(String found, Runnable encoding) {
    var error = assertThrows(LorikeetException.class, encoding::run);
    assertEquals(Code.INVALID_REQUEST, error.code());
    assertTrue(error.getMessage().contains("expected at most"), error.getMessage());
    assertTrue(error.getMessage().contains("found " + found), error.getMessage());
  }

  @ParameterizedTest
  @ValueSource(strings = {"llama2", "llama3", "metaspace", "mistral", "qwen2"})
  void tenMillionBlanksAreRefusedWithoutANativeCall(String name) {
    String blanks = " ".repeat(10_000_000);
    try (HfTokenizer tokenizer = open(name)) {
      EncodingLimit limit = new EncodingLimit(131_072, () -> {});
      assertRefused("10000000", () -> tokenizer.encode(blanks, true));
      assertRefused("10000000", () -> tokenizer.encode(blanks, true, limit));
      assertRefused("10000000", () -> tokenizer.checkLength(blanks, 2048));
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"bytelevel", "metaspace", "unigram", "wordpiece", "wordlevel"})
  void tenMillionCharactersInARowAreRefusedByEveryKind(String kind) throws IOException {
    try (HfTokenizer tokenizer = open(SmallTokenizers.of(kind))) {
      for (String unit : new String[] {" ", "a", "\u0301"}) {
        assertRefused("", () -> tokenizer.encode(unit.repeat(10_000_000), false));
      }
    }
  }

  @Test
  void theLongestTextThatMayFitPasses() throws IOException {
    ObjectNode json = SmallTokenizers.of("bytelevel");
    ((ArrayNode) json.path("added_tokens"))
        .addObject()
        .put("id", 563)
        .put("content", "b".repeat(40));
    try (HfTokenizer tokenizer = open(json)) {
      String text = "b".repeat(40 * 100);
      tokenizer.checkLength(text, 100);
      assertEquals(100, tokenizer.encode(text, false).length);
      assertRefused("4001", () -> tokenizer.checkLength(text + "b", 100));
      assertRefused("4003", () -> tokenizer.checkLength(text + "中", 100));
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"llama2", "llama3", "metaspace", "mistral", "qwen2"})
  void noTextIsRefusedThatHasAsFewTokensAsThereMayBe(String name) {
    long seed = new Random().nextLong();
    Random random = new Random(seed);
    try (HfTokenizer tokenizer = open(name)) {
      for (int i = 0; i < 300; i++) {
        String text = text(random, 200);
        int tokens = tokenizer.encode(text, true).length;
        assertDoesNotThrow(() -> tokenizer.checkLength(text, tokens), "seed " + seed);
      }
    }
  }

  /** Returns words, blanks, signs and other scripts, decomposed characters among them. */
  private static String text(Random random, int parts) {
    String[] all = {
      "the",
      "sea",
      " ",
      "  ",
      "\n",
      "\n\n",
      "\t",
      ".",
      ", ",
      "'s",
      "'re",
      "x",
      "T",
      "12",
      "é",
      "e\u0301",
      "\u1100\u1161\u11a8",
      "\u212b",
      "日本語",
      "、",
      "ع",
      "🙂",
      "<|eot_id|>",
      "</s>",
      "-",
      "\u00a0",
      "!",
      "?\n",
      "ßẞ",
      "ǅ",
      "\u0e33",
      "a",
      ". b",
      "का",
      "'",
      "’s",
      "_",
      "(",
      ")"
    };
    StringBuilder text = new StringBuilder();
    for (int i = random.nextInt(parts); i > 0; i--) {
      text.append(all[random.nextInt(all.length)]);
    }
    return text.toString();
  }

  @ParameterizedTest
  @ValueSource(strings = {"llama2", "llama3", "metaspace", "mistral", "qwen2"})
  void aTextInPiecesHasTheTokensOfTheWhole(String name) {
    long seed = new Random().nextLong();
    Random random = new Random(seed);
    TokenizersLibrary library = NativeTokenizers.library();
    CheckedTokenizer checked = TokenizerFile.read(RESOURCES.resolve(name)).check();
    TextLimits.Cuts cuts = checked.limits().cuts();
    assertNotEquals(TextLimits.Cuts.NONE, cuts);
    long handle = library.createTokenizerFromString(checked.json().toString());
    try {
      for (int i = 0; i < 300; i++) {
        String text = text(random, 200);
        long[] whole = encode(library, handle, text);
        long[] pieces = new long[0];
        int start = 0;
        TextLimits small = new TextLimits(1, 9 + random.nextInt(60), Integer.MAX_VALUE, cuts);
        for (int end : ends(text, small)) {
          long[] piece = encode(library, handle, text.substring(start, end));
          pieces = Arrays.copyOf(pieces, pieces.length + piece.length);
          System.arraycopy(piece, 0, pieces, pieces.length - piece.length, piece.length);
          start = TextPieces.next(end, text, small);
        }
        assertArrayEquals(whole, pieces, "seed " + seed + ": " + text);
      }
    } finally {
      library.deleteTokenizer(handle);
    }
  }

  private static int[] ends(String text, TextLimits limits) {
    try {
      return TextPieces.ends(text, limits);
    } catch (LorikeetException e) {
      return new int[] {text.length()}; // too much in a row for limits so small
    }
  }

  private static long[] encode(TokenizersLibrary library, long handle, String text) {
    long encoding = library.encode(handle, text, false);
    try {
      return library.getTokenIds(encoding);
    } finally {
      library.deleteEncoding(encoding);
    }
  }

  @Test
  void aLongTextIsGivenUpOnceItHasTooManyTokens() {
    String text = "The quick brown fox. ".repeat(30_000);
    try (HfTokenizer tokenizer = open("llama3")) {
      AtomicInteger checks = new AtomicInteger();
      EncodingLimit limit = new EncodingLimit(100_000, checks::incrementAndGet);
      var error = assertThrows(LorikeetException.class, () -> tokenizer.encode(text, false, limit));
      assertEquals(Code.INVALID_REQUEST, error.code());
      assertTrue(error.getMessage().contains("expected at most 100000 tokens"), error.getMessage());
      assertTrue(checks.get() < 40, "pieces, of about 77: " + checks);
    }
  }

  @Test
  void timeIsCheckedBetweenPieces() {
    String text = "The quick brown fox. ".repeat(30_000);
    try (HfTokenizer tokenizer = open("llama3")) {
      AtomicInteger checks = new AtomicInteger();
      EncodingLimit limit =
          new EncodingLimit(
              Integer.MAX_VALUE,
              () -> {
                if (checks.incrementAndGet() == 3) {
                  throw new IllegalArgumentException("late");
                }
              });
      assertThrows(IllegalArgumentException.class, () -> tokenizer.encode(text, false, limit));
      assertEquals(3, checks.get());
    }
  }

  @Test
  void whereAnythingMayStandForOneTokenOnlyTheLengthAtOnceIsBounded() throws IOException {
    try (HfTokenizer tokenizer = open(SmallTokenizers.of("wordpiece"))) {
      String word = "z".repeat(50_000);
      tokenizer.checkLength(word, 1);
      assertEquals(3, tokenizer.encode(word, true).length);
    }
  }
}
