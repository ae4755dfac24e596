package dev.lorikeet.text;

import static org.junit.jupiter.api.Assertions.assertAll;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import ai.djl.huggingface.tokenizers.jni.TokenizersLibrary;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.tiny.TinyModel;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.OptionalInt;
import java.util.Random;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class HfTokenizerTest {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final Path RESOURCES = Path.of("src/test/resources/dev/lorikeet/text");

  @TempDir Path directory;

  private static HfTokenizer open(String name) {
    return HfTokenizer.open(RESOURCES.resolve(name));
  }

  private static JsonNode references(String name) throws IOException {
    return JSON.readTree(RESOURCES.resolve("tokenizers.json").toFile()).path(name);
  }

  private static int[] ids(JsonNode list) {
    return JSON.convertValue(list, int[].class);
  }

  @Test
  void thePromptsOfTheTinyModelHaveTheirReferenceIds() throws IOException {
    TinyModel tiny = TinyModel.extract(directory);
    JsonNode reference = JSON.readTree(tiny.reference().toFile());
    try (HfTokenizer tokenizer = HfTokenizer.open(tiny.base())) {
      assertEquals(20, reference.size());
      for (JsonNode entry : reference) {
        String prompt = entry.path("prompt").textValue();
        assertArrayEquals(ids(entry.path("prompt_ids")), tokenizer.encode(prompt, true), prompt);
        assertEquals(
            entry.path("greedy_text").textValue(),
            tokenizer.decode(ids(entry.path("greedy_ids")), true));
      }
      assertEquals(2048, tokenizer.vocabularySize());
      assertEquals(OptionalInt.of(1), tokenizer.bosTokenId());
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"llama2", "llama3", "metaspace", "mistral", "qwen2"})
  void textsEncodeAsHuggingFaceEncodesThem(String name) throws IOException {
    try (HfTokenizer tokenizer = open(name)) {
      for (JsonNode entry : references(name).path("texts")) {
        String text = entry.path("text").textValue();
        assertAll(
            () -> assertArrayEquals(ids(entry.path("ids")), tokenizer.encode(text, true), text),
            () -> assertArrayEquals(ids(entry.path("plain")), tokenizer.encode(text, false), text));
      }
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"llama2", "llama3", "metaspace", "mistral", "qwen2"})
  void idsDecodeAsHuggingFaceDecodesThemAtOnceAndAsAStream(String name) throws IOException {
    try (HfTokenizer tokenizer = open(name)) {
      for (JsonNode entry : references(name).path("decoded")) {
        int[] ids = ids(entry.path("ids"));
        String text = entry.path("text").textValue();
        String skipped = entry.path("skipped").textValue();
        assertAll(
            () -> assertEquals(text, tokenizer.decode(ids, false)),
            () -> assertEquals(skipped, tokenizer.decode(ids, true)),
            () -> assertEquals(text, streamed(tokenizer, ids, false)),
            () -> assertEquals(skipped, streamed(tokenizer, ids, true)));
      }
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"llama2", "llama3", "metaspace", "mistral", "qwen2"})
  void randomIdsDecodeAsTheNativeLibraryDecodesThem(String name) throws IOException {
    long seed = new Random().nextLong();
    Random random = new Random(seed);
    TokenizersLibrary library = NativeTokenizers.library();
    JsonNode file = JSON.readTree(RESOURCES.resolve(name).resolve("tokenizer.json").toFile());
    ObjectNode json = TokenizerFile.read(RESOURCES.resolve(name)).check().json();
    json.set("decoder", file.path("decoder"));
    long handle = library.createTokenizerFromString(json.toString());
    try (HfTokenizer tokenizer = open(name)) {
      for (int i = 0; i < 400; i++) {
        int[] ids = random.ints(random.nextInt(40), 0, tokenizer.vocabularySize()).toArray();
        boolean skip = random.nextBoolean();
        String text = library.decode(handle, Arrays.stream(ids).asLongStream().toArray(), skip);
        assertEquals(text, tokenizer.decode(ids, skip), "seed " + seed);
      }
    } finally {
      library.deleteTokenizer(handle);
    }
  }

  private static String streamed(HfTokenizer tokenizer, int[] ids, boolean skip) {
    StreamDecoder stream = tokenizer.stream(skip);
    StringBuilder text = new StringBuilder();
    for (int id : ids) {
      text.append(stream.next(id));
    }
    return text.append(stream.finish()).toString();
  }

  @Test
  void aCharacterSpreadOverTokensAppearsWithItsLastToken() {
    try (HfTokenizer tokenizer = open("llama3")) {
      int[] ids = tokenizer.encode("🧑‍🚀", false);
      assertTrue(ids.length > 2);
      StreamDecoder stream = tokenizer.stream(true);
      List<String> pieces = new ArrayList<>();
      for (int id : ids) {
        pieces.add(stream.next(id).toString());
      }
      assertEquals("", stream.finish().toString());
      assertEquals("🧑‍🚀", String.join("", pieces));
      assertFalse(String.join("", pieces).contains("\uFFFD"));
      assertEquals("", pieces.getFirst());
    }
  }

  @Test
  void anUnfinishedCharacterAppearsAsReplacementAtTheEnd() {
    try (HfTokenizer tokenizer = open("llama3")) {
      int[] ids = tokenizer.encode("🧑", false);
      StreamDecoder stream = tokenizer.stream(true);
      assertEquals("", stream.next(ids[0]).toString());
      assertEquals("\uFFFD", stream.finish().toString());
    }
  }

  @Test
  void theSpaceThatEncodingPutsInFrontIsNotStreamed() {
    try (HfTokenizer tokenizer = open("llama2")) {
      StreamDecoder stream = tokenizer.stream(true);
      StringBuilder first = new StringBuilder();
      for (int id : tokenizer.encode("The fox", true)) {
        first.append(stream.next(id));
      }
      assertEquals("The fox", first.append(stream.finish()).toString());
    }
  }

  @Test
  void spacesAreCleanedUpWhereTheConfigurationInsists() throws IOException {
    try (HfTokenizer plain = open("llama3");
        HfTokenizer cleaning = HfTokenizer.open(withCleanUp())) {
      int[] ids = plain.encode("x , y . do n't 'm it 's ' a ' b", false);
      assertEquals("x , y . do n't 'm it 's ' a ' b", plain.decode(ids, true));
      assertEquals("x, y. don't'm it's'a'b", cleaning.decode(ids, true));
      assertEquals("x, y. don't'm it's'a'b", streamed(cleaning, ids, true));
    }
  }

  private Path withCleanUp() throws IOException {
    Files.copy(RESOURCES.resolve("llama3/tokenizer.json"), directory.resolve("tokenizer.json"));
    Files.writeString(
        directory.resolve("tokenizer_config.json"),
        """
        {"clean_up_tokenization_spaces": true,
         "clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output": true}
        """);
    return directory;
  }

  @Test
  void bosGoesFirstWhereOnlyTheConfigurationAsksForIt() throws IOException {
    JsonNode json = JSON.readTree(RESOURCES.resolve("qwen2/tokenizer.json").toFile());
    Files.write(directory.resolve("tokenizer.json"), JSON.writeValueAsBytes(json));
    Files.writeString(
        directory.resolve("tokenizer_config.json"),
        "{\"bos_token\": \"<|endoftext|>\", \"add_bos_token\": true}");
    try (HfTokenizer qwen2 = open("qwen2");
        HfTokenizer withBos = HfTokenizer.open(directory)) {
      int[] plain = qwen2.encode("Hello", true);
      int[] ids = withBos.encode("Hello", true);
      assertArrayEquals(plain, withBos.encode("Hello", false));
      assertEquals(plain.length + 1, ids.length);
      assertEquals(withBos.bosTokenId(), OptionalInt.of(ids[0]));
    }
  }

  @Test
  void aLoneSurrogateIsTakenForTheReplacementCharacter() {
    try (HfTokenizer tokenizer = open("llama3")) {
      int[] expected = tokenizer.encode("a\uFFFDb😀\uFFFD", false);
      assertArrayEquals(expected, tokenizer.encode("a\uD83Db😀\uDE00", false));
    }
  }

  @Test
  void idsBeyondTheVocabularyDecodeToNothing() {
    try (HfTokenizer tokenizer = open("llama3")) {
      int[] ids = {-1, 72, tokenizer.vocabularySize(), Integer.MAX_VALUE};
      String text = tokenizer.decode(new int[] {72}, false);
      assertEquals(text, tokenizer.decode(ids, false));
      assertEquals(text, streamed(tokenizer, ids, false));
    }
  }

  @Test
  void longTextsAreNotTruncated() {
    try (HfTokenizer tokenizer = open("mistral")) {
      String text = "The quick brown fox. ".repeat(500).strip();
      assertEquals(text, tokenizer.decode(tokenizer.encode(text, true), true));
    }
  }

  @Test
  void threadsShareATokenizer() throws Exception {
    try (HfTokenizer tokenizer = open("llama3");
        ExecutorService threads = Executors.newFixedThreadPool(4)) {
      List<Callable<int[]>> calls = new ArrayList<>();
      for (int i = 0; i < 200; i++) {
        String text = "text " + i + " 日本語 " + "🙂".repeat(i % 5);
        calls.add(
            () -> {
              int[] ids = tokenizer.encode(text, true);
              assertEquals(text, tokenizer.decode(ids, true));
              return ids;
            });
      }
      for (Future<int[]> done : threads.invokeAll(calls)) {
        assertTrue(done.get().length > 0);
      }
    }
  }

  @Test
  void aClosedTokenizerSaysSo() {
    HfTokenizer tokenizer = open("llama3");
    StreamDecoder stream = tokenizer.stream(true);
    tokenizer.close();
    tokenizer.close();
    assertThrows(IllegalStateException.class, () -> tokenizer.encode("a", true));
    assertThrows(IllegalStateException.class, () -> tokenizer.decode(new int[] {1}, true));
    assertEquals("i", stream.next(72).toString());
  }

  @Test
  void aMissingFileIsNamed() {
    var error = assertThrows(LorikeetException.class, () -> HfTokenizer.open(directory));
    assertEquals(Code.MODEL_INVALID, error.code());
    assertTrue(String.valueOf(error.getMessage()).contains("tokenizer.json"), error.getMessage());
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "{",
        "[]",
        "{}",
        "{\"model\": {}}",
        "{\"model\": {\"vocab\": 3}}",
        "{\"model\": {\"vocab\": {\"a\": -1}}}",
        "{\"model\": {\"vocab\": {\"a\": 1e9}}}",
        "{\"model\": {\"vocab\": {\"a\": 0}}, \"added_tokens\": [{\"id\": 1}]}",
        "{\"model\": {\"vocab\": {\"a\": 0}}, \"added_tokens\": [7]}",
        "{\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0}, \"merges\": [\"a b c d\"]}}"
      })
  void aDamagedFileIsRefused(String json) throws IOException {
    Files.writeString(directory.resolve("tokenizer.json"), json);
    var error = assertThrows(LorikeetException.class, () -> HfTokenizer.open(directory));
    assertEquals(Code.MODEL_INVALID, error.code());
    assertTrue(String.valueOf(error.getMessage()).contains("tokenizer.json"), error.getMessage());
  }

  @Test
  void anUnknownModelIsRefusedByName() throws IOException {
    Files.writeString(
        directory.resolve("tokenizer.json"),
        "{\"model\": {\"type\": \"None\", \"vocab\": {\"a\": 0}}}");
    var error = assertThrows(LorikeetException.class, () -> HfTokenizer.open(directory));
    assertEquals(Code.MODEL_UNSUPPORTED, error.code());
    assertTrue(error.getMessage().contains("BPE, Unigram"), error.getMessage());
    assertTrue(error.getMessage().contains("None"), error.getMessage());
  }

  @Test
  void anUnknownDecoderIsRefusedByName() throws IOException {
    Files.writeString(
        directory.resolve("tokenizer.json"),
        """
        {"model": {"type": "BPE", "vocab": {"a": 0}, "merges": []}, "decoder": {"type": "CTC",
         "pad_token": "a", "word_delimiter_token": "|", "cleanup": true}}
        """);
    var error = assertThrows(LorikeetException.class, () -> HfTokenizer.open(directory));
    assertEquals(Code.MODEL_UNSUPPORTED, error.code());
    assertTrue(String.valueOf(error.getMessage()).contains("'CTC'"), error.getMessage());
  }
}
