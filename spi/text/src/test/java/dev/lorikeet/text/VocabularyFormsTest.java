package dev.lorikeet.text;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.files.gguf.GgufWriter;
import dev.lorikeet.model.Prompt.Chat;
import dev.lorikeet.model.Prompt.ChatMessage;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Known tokenizers in other forms than tokenizer.json: each gives the ids that Hugging Face's own
 * gives, for all reference texts.
 */
class VocabularyFormsTest {
  private static final Path RESOURCES = Path.of("src/test/resources/dev/lorikeet/text");
  private static final ObjectMapper JSON = new ObjectMapper();

  private final long seed = Long.getLong("lorikeet.seed", System.nanoTime());
  @TempDir Path folder;

  /** A vocabulary by ids, with SentencePiece's numbers for what a token is. */
  private record Vocabulary(List<String> tokens, List<Integer> types, List<Float> scores) {
    static Vocabulary of(JsonNode tokenizer) {
      Map<Integer, String> byId = new TreeMap<>();
      tokenizer
          .at("/model/vocab")
          .properties()
          .forEach(token -> byId.put(token.getValue().asInt(), token.getKey()));
      Map<Integer, Integer> kinds = new TreeMap<>();
      for (JsonNode token : tokenizer.path("added_tokens")) {
        byId.put(token.path("id").asInt(), token.path("content").asText());
        kinds.put(token.path("id").asInt(), token.path("special").asBoolean() ? 3 : 4);
      }
      // what a merge makes is worth more the earlier it stands; what no merge makes, least
      Map<String, Float> scores = new TreeMap<>();
      JsonNode merges = tokenizer.at("/model/merges");
      for (int rank = 0; rank < merges.size(); rank++) {
        JsonNode merge = merges.path(rank);
        String made =
            merge.isArray()
                ? merge.path(0).asText() + merge.path(1).asText()
                : merge.asText().replace(" ", "");
        scores.putIfAbsent(made, -1f - rank);
      }
      List<String> tokens = new ArrayList<>();
      List<Integer> types = new ArrayList<>();
      List<Float> values = new ArrayList<>();
      byId.forEach(
          (id, token) -> {
            assertEquals(tokens.size(), id);
            tokens.add(token);
            boolean isByte = token.matches("<0x[0-9A-F]{2}>");
            types.add(token.equals("<unk>") ? 2 : kinds.getOrDefault(id, isByte ? 6 : 1));
            values.add(scores.getOrDefault(token, -1e6f));
          });
      return new Vocabulary(tokens, types, values);
    }
  }

  private static ObjectNode tokenizer(String name) throws IOException {
    return (ObjectNode) JSON.readTree(RESOURCES.resolve(name + "/tokenizer.json").toFile());
  }

  private static JsonNode config(String name) throws IOException {
    return JSON.readTree(RESOURCES.resolve(name + "/tokenizer_config.json").toFile());
  }

  private static String token(JsonNode config, String name) {
    JsonNode token = config.path(name);
    return token.isObject() ? token.path("content").asText() : token.asText("");
  }

  /** Writes what a GGUF file says of a tokenizer. */
  private GgufWriter gguf(String name, String model) throws IOException {
    JsonNode tokenizer = tokenizer(name);
    Vocabulary vocabulary = Vocabulary.of(tokenizer);
    GgufWriter writer =
        new GgufWriter()
            .text("tokenizer.ggml.model", model)
            .texts("tokenizer.ggml.tokens", vocabulary.tokens())
            .numbers("tokenizer.ggml.token_type", vocabulary.types());
    if (model.equals("gpt2")) {
      List<String> merges = new ArrayList<>();
      for (JsonNode merge : tokenizer.at("/model/merges")) {
        merges.add(
            merge.isArray()
                ? merge.path(0).asText() + " " + merge.path(1).asText()
                : merge.asText());
      }
      writer.texts("tokenizer.ggml.merges", merges);
    } else {
      writer.decimals("tokenizer.ggml.scores", vocabulary.scores());
    }
    for (String named : List.of("bos", "eos")) {
      int id = vocabulary.tokens().indexOf(token(config(name), named + "_token"));
      if (id >= 0) {
        writer.number("tokenizer.ggml." + named + "_token_id", id);
      }
    }
    return writer;
  }

  private static void checkReference(Path path, String name) throws IOException {
    JsonNode reference = JSON.readTree(RESOURCES.resolve("tokenizers.json").toFile()).path(name);
    assertTrue(reference.path("texts").size() > 10);
    try (HfTokenizer tokenizer = HfTokenizer.open(path);
        HfTokenizer own = HfTokenizer.open(RESOURCES.resolve(name))) {
      for (JsonNode each : reference.path("texts")) {
        String text = each.path("text").asText();
        int[] expected = JSON.treeToValue(each.path("plain"), int[].class);
        assertArrayEquals(expected, tokenizer.encode(text, false), name + ": '" + text + "'");
        assertArrayEquals(
            own.encode(text, true), tokenizer.encode(text, true), name + ": '" + text + "'");
        assertEquals(own.decode(expected, true), tokenizer.decode(expected, true), name);
      }
      assertEquals(own.eosTokenId(), tokenizer.eosTokenId());
      assertEquals(own.bosTokenId(), tokenizer.bosTokenId());
    }
  }

  @ParameterizedTest
  @CsvSource({"llama3, llama-bpe", "qwen2, qwen2"})
  void byteLevelOnesOfGguf(String name, String pre) throws IOException {
    Path file = folder.resolve("model.gguf");
    gguf(name, "gpt2").text("tokenizer.ggml.pre", pre).write(file);
    checkReference(file, name);
  }

  @Test
  void sentencePieceOfGguf() throws IOException {
    Path file = folder.resolve("model.gguf");
    gguf("llama2", "llama").write(file);
    checkReference(file, "llama2");
  }

  @Test
  void sentencePiecesOwnFile() throws IOException {
    writePieces(folder, "llama2");
    checkReference(folder, "llama2");
    Files.copy(
        RESOURCES.resolve("llama2/tokenizer_config.json"), folder.resolve("tokenizer_config.json"));
    checkReference(folder, "llama2");
  }

  @Test
  void vocabularyAndMerges() throws IOException {
    JsonNode tokenizer = tokenizer("qwen2");
    JSON.writeValue(folder.resolve("vocab.json").toFile(), tokenizer.at("/model/vocab"));
    List<String> lines = new ArrayList<>(List.of("#version: 0.2"));
    for (JsonNode merge : tokenizer.at("/model/merges")) {
      lines.add(
          merge.isArray() ? merge.path(0).asText() + " " + merge.path(1).asText() : merge.asText());
    }
    Files.write(folder.resolve("merges.txt"), lines);
    ObjectNode added = JSON.createObjectNode();
    tokenizer
        .path("added_tokens")
        .forEach(token -> added.set(token.path("content").asText(), token.path("id")));
    JSON.writeValue(folder.resolve("added_tokens.json").toFile(), added);
    ObjectNode config = (ObjectNode) config("qwen2");
    config.put("tokenizer_class", "Qwen2Tokenizer");
    ObjectNode decoder = config.putObject("added_tokens_decoder");
    tokenizer.path("added_tokens").forEach(token -> decoder.set(token.path("id").asText(), token));
    JSON.writeValue(folder.resolve("tokenizer_config.json").toFile(), config);
    checkReference(folder, "qwen2");
    config.remove("added_tokens_decoder");
    var special = config.putArray("additional_special_tokens");
    for (JsonNode token : tokenizer.path("added_tokens")) {
      if (token.path("special").asBoolean()) {
        special.add(token.path("content"));
      }
    }
    JSON.writeValue(folder.resolve("tokenizer_config.json").toFile(), config);
    checkReference(folder, "qwen2");
    config.put("tokenizer_class", "RobertaTokenizer");
    JSON.writeValue(folder.resolve("tokenizer_config.json").toFile(), config);
    assertRefused(folder, Code.MODEL_UNSUPPORTED, "'RobertaTokenizer'");
  }

  @Test
  void tekkenAloneIsRefusedWithWhatToDo() throws IOException {
    Files.writeString(folder.resolve("tekken.json"), "{}");
    assertRefused(folder, Code.MODEL_UNSUPPORTED, "take the tokenizer.json of the model's");
  }

  @Test
  void aChatTemplateOfGgufIsRendered() throws IOException {
    Path file = folder.resolve("model.gguf");
    gguf("llama3", "gpt2")
        .text("tokenizer.ggml.pre", "llama-bpe")
        .text("tokenizer.chat_template", "{{ bos_token }}{{ messages[0].content }}")
        .write(file);
    String bos = token(config("llama3"), "bos_token");
    assertEquals(
        bos + "Hi",
        ChatTemplate.read(file).orElseThrow().render(Chat.of(ChatMessage.user("Hi")), true));
  }

  @Test
  void unknownKindsAreRefusedByName() throws IOException {
    Path file = folder.resolve("model.gguf");
    gguf("llama3", "gpt2").text("tokenizer.ggml.pre", "kimi-k2").write(file);
    assertRefused(file, Code.MODEL_UNSUPPORTED, "tokenizer.ggml.pre: expected one of");
    assertRefused(file, Code.MODEL_UNSUPPORTED, "found 'kimi-k2'");
    gguf("llama3", "bert").write(file);
    assertRefused(file, Code.MODEL_UNSUPPORTED, "tokenizer.ggml.model: expected 'gpt2'");
    new GgufWriter().text("tokenizer.ggml.model", "llama").write(file);
    assertRefused(file, Code.MODEL_INVALID, "tokenizer.ggml.tokens");
    new GgufWriter()
        .text("tokenizer.ggml.model", "llama")
        .texts("tokenizer.ggml.tokens", List.of("<unk>", "a"))
        .decimals("tokenizer.ggml.scores", List.of(0f))
        .write(file);
    assertRefused(file, Code.MODEL_INVALID, "tokenizer.ggml.scores: expected one for each of 2");
  }

  /** Every form that is known passes the checks and divides words as it says. */
  @ParameterizedTest
  @ValueSource(
      strings = {"gpt-2", "smollm", "llama-bpe", "dbrx", "qwen2", "tekken", "gpt-4o", "default"})
  void everyFormOfByteLevelIsOpened(String pre) throws IOException {
    Path file = folder.resolve("model.gguf");
    gguf("llama3", "gpt2").text("tokenizer.ggml.pre", pre).write(file);
    try (HfTokenizer tokenizer = HfTokenizer.open(file)) {
      String text = "Ask 12345, don't! HELLOworld\n\n  ŭñ x";
      assertEquals(text, tokenizer.decode(tokenizer.encode(text, false), true));
    }
  }

  @Test
  void damagedPiecesAreRefusedOrAccepted() throws IOException {
    writePieces(folder, "llama2");
    Path file = folder.resolve("tokenizer.model");
    byte[] sound = Files.readAllBytes(file);
    Random random = new Random(seed);
    int refused = 0;
    for (int n = 0; n < 300; n++) {
      byte[] changed =
          n % 3 == 0 ? Arrays.copyOf(sound, random.nextInt(sound.length)) : sound.clone();
      for (int changes = random.nextInt(20); changes >= 0 && changed.length > 0; changes--) {
        changed[random.nextInt(changed.length)] = (byte) random.nextInt(256);
      }
      Files.write(file, changed);
      try (HfTokenizer tokenizer = HfTokenizer.open(folder)) {
        tokenizer.encode("Hello, world", true);
      } catch (LorikeetException e) {
        assertTrue(e.code() != Code.INTERNAL, e.toString());
        refused++;
      } catch (RuntimeException | Error e) {
        throw new AssertionError("seed " + seed + ", damage " + n, e);
      }
    }
    assertTrue(refused > 30, refused + " refused, seed " + seed);
    Files.write(file, new byte[0]);
    assertRefused(folder, Code.MODEL_INVALID, "a SentencePiece model with pieces");
  }

  private static void assertRefused(Path path, Code code, String message) {
    var error = assertThrows(LorikeetException.class, () -> HfTokenizer.open(path));
    assertTrue(String.valueOf(error.getMessage()).contains(message), error.getMessage());
    assertEquals(code, error.code(), error.getMessage());
  }

  /** Writes a SentencePiece model: pieces, a trainer of BPE with bytes, a plain normalizer. */
  private static void writePieces(Path folder, String name) throws IOException {
    Vocabulary vocabulary = Vocabulary.of(tokenizer(name));
    ByteArrayOutputStream model = new ByteArrayOutputStream();
    for (int id = 0; id < vocabulary.tokens().size(); id++) {
      ByteArrayOutputStream piece = new ByteArrayOutputStream();
      bytes(piece, 1, vocabulary.tokens().get(id).getBytes(StandardCharsets.UTF_8));
      varint(piece, 2 << 3 | 5);
      piece.writeBytes(
          ByteBuffer.allocate(4)
              .order(ByteOrder.LITTLE_ENDIAN)
              .putFloat(vocabulary.scores().get(id))
              .array());
      varint(piece, 3 << 3);
      varint(piece, vocabulary.types().get(id));
      bytes(model, 1, piece.toByteArray());
    }
    ByteArrayOutputStream trainer = new ByteArrayOutputStream();
    for (int[] field : new int[][] {{3, 2}, {35, 1}, {40, 0}, {41, 1}, {42, 2}}) {
      varint(trainer, field[0] << 3);
      varint(trainer, field[1]);
    }
    bytes(model, 2, trainer.toByteArray());
    ByteArrayOutputStream normalizer = new ByteArrayOutputStream();
    bytes(normalizer, 1, "identity".getBytes(StandardCharsets.UTF_8));
    varint(normalizer, 3 << 3);
    varint(normalizer, 1);
    varint(normalizer, 4 << 3);
    varint(normalizer, 0);
    bytes(model, 3, normalizer.toByteArray());
    Files.write(folder.resolve("tokenizer.model"), model.toByteArray());
  }

  private static void bytes(ByteArrayOutputStream to, int field, byte[] content) {
    varint(to, field << 3 | 2);
    varint(to, content.length);
    to.writeBytes(content);
  }

  private static void varint(ByteArrayOutputStream to, int value) {
    int rest = value;
    while (rest > 127) {
      to.write(rest & 127 | 128);
      rest >>>= 7;
    }
    to.write(rest);
  }
}
