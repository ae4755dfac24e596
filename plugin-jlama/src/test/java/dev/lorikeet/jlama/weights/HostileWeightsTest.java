package dev.lorikeet.jlama.weights;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.files.family.Families;
import dev.lorikeet.files.model.Architecture;
import dev.lorikeet.tensor.ElementType;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.function.Consumer;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Damaged and hostile weight files: each is refused by name, and nothing stays mapped. */
class HostileWeightsTest {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final String NORM = "model.norm.weight";
  private static final String INDEX = "model.safetensors.index.json";

  @TempDir Path directory;
  private Path model;
  private Path file;

  @BeforeEach
  void writeModel() {
    model = small().write(directory.resolve("model"));
    file = model.resolve("model.safetensors");
  }

  private static RandomModel small() {
    return RandomModel.llama(3).widths(32, 64).layers(1).type(ElementType.BF16);
  }

  @AfterEach
  void nothingIsMapped() throws IOException {
    Path maps = Path.of("/proc/self/maps");
    if (Files.exists(maps)) {
      assertFalse(Files.readString(maps).contains(model.toString() + "/"));
    }
  }

  private void assertRefused(Code code, String... words) {
    Architecture config = Families.read(model);
    var error = assertThrows(LorikeetException.class, () -> ModelWeights.open(model, config));
    String message = String.valueOf(error.getMessage());
    assertEquals(code, error.code(), message);
    for (String word : words) {
      assertTrue(message.contains(word), message);
    }
  }

  private void assertInvalid(String... words) {
    assertRefused(Code.MODEL_INVALID, words);
  }

  /** Rewrites the header; the data stays as it is. */
  private void editHeader(Consumer<ObjectNode> edit) throws IOException {
    byte[] bytes = Files.readAllBytes(file);
    int length = (int) ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).getLong();
    ObjectNode header = (ObjectNode) JSON.readTree(bytes, 8, length);
    edit.accept(header);
    writeFile(header.toString(), Arrays.copyOfRange(bytes, 8 + length, bytes.length));
  }

  private void writeFile(String header, byte[] data) throws IOException {
    byte[] text = header.getBytes(StandardCharsets.UTF_8);
    ByteBuffer all =
        ByteBuffer.allocate(8 + text.length + data.length).order(ByteOrder.LITTLE_ENDIAN);
    Files.write(file, all.putLong(text.length).put(text).put(data).array());
  }

  private void editNorm(String key, String json) throws IOException {
    editHeader(
        header -> {
          try {
            ((ObjectNode) header.path(NORM)).set(key, JSON.readTree(json));
          } catch (IOException e) {
            throw new IllegalArgumentException(json, e);
          }
        });
  }

  @Test
  void theUntouchedModelOpens() {
    ModelWeights.open(model, Families.read(model)).close();
  }

  @ParameterizedTest
  @ValueSource(longs = {0, 1, -1, Long.MIN_VALUE, Long.MAX_VALUE, 1L << 24, 1L << 32})
  void aHeaderLengthBeyondTheFileIsRefused(long length) throws IOException {
    byte[] bytes = Files.readAllBytes(file);
    ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).putLong(0, length);
    Files.write(file, bytes);
    assertInvalid("model.safetensors: header length", "found " + Long.toUnsignedString(length));
  }

  @Test
  void aHeaderBeyondWhatAnyModelNeedsIsNotParsed() throws IOException {
    writeFile("{\"a\": \"" + "x".repeat(17 << 20) + "\"}", new byte[0]);
    assertInvalid("header length: expected from 2 to 16777216 bytes");
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 1, 7})
  void aFileWithoutALengthIsRefused(int size) throws IOException {
    Files.write(file, new byte[size]);
    assertInvalid("model.safetensors: expected at least 8 bytes, found " + size);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {"[]", "{ ", "xx", "{\"a\": 1}", "{\"a\": null}", "{\"a\": {}, \"a\": {}}"})
  void aHeaderThatIsNoneIsRefused(String header) throws IOException {
    writeFile(header, new byte[0]);
    assertInvalid("model.safetensors: header");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "shape        | [33]",
        "shape        | [-32]",
        "shape        | [32.5]",
        "shape        | [\"32\"]",
        "shape        | 32",
        "shape        | null",
        "shape        | [4294967296, 4294967296]",
        "shape        | [9223372036854775807, 2]",
        "shape        | [9223372036854775808]",
        "shape        | [1,1,1,1,1,1,1,1,32]",
        "data_offsets | [0]",
        "data_offsets | [0, 64, 128]",
        "data_offsets | [64, 0]",
        "data_offsets | [-64, 0]",
        "data_offsets | [9223372036854775744, 9223372036854775807]",
        "data_offsets | {}",
        "dtype        | null",
        "dtype        | 3",
      })
  void anExtentThatDoesNotFitIsRefusedByTensorAndKey(String key, String value) throws IOException {
    editNorm(key, value);
    assertInvalid("model.safetensors", NORM);
  }

  @ParameterizedTest
  @ValueSource(strings = {"F9", "Q5", "X"})
  void anElementTypeThatTheFormatDoesNotHaveIsRefusedByName(String type) throws IOException {
    editNorm("dtype", "\"" + type + "\"");
    assertRefused(Code.MODEL_UNSUPPORTED, NORM, "dtype", type, "F32, F16, BF16 or Q4");
  }

  @ParameterizedTest
  @ValueSource(strings = {"I16", "U16"})
  void anElementTypeThatNoKernelReadsIsRefusedByName(String type) throws IOException {
    editNorm("dtype", "\"" + type + "\"");
    assertRefused(Code.MODEL_UNSUPPORTED, NORM, type, "F32, F16, BF16");
  }

  @Test
  void integersInPlaceOfWeightsAreRefused() throws IOException {
    editNorm("dtype", "\"I16\"");
    assertRefused(Code.MODEL_UNSUPPORTED, NORM, "I16[32]");
  }

  @Test
  void overlapAndGapAreRefused() throws IOException {
    String second = "model.layers.0.self_attn.q_proj.weight";
    editHeader(
        header -> {
          ((ObjectNode) header.path(second))
              .set("data_offsets", JSON.valueToTree(new long[] {0, 2048}));
        });
    assertInvalid("model.safetensors", "without gap or overlap");
  }

  @Test
  void truncatedAndPaddedDataAreRefused() throws IOException {
    byte[] bytes = Files.readAllBytes(file);
    Files.write(file, Arrays.copyOf(bytes, bytes.length - 1));
    assertInvalid("model.safetensors", "data_offsets", "a range within");
    Files.write(file, Arrays.copyOf(bytes, bytes.length + 1));
    assertInvalid("model.safetensors", "bytes of data after the header");
  }

  @Test
  void missingAndFurtherTensorsAreRefusedByName() throws IOException {
    editHeader(header -> header.set("model.norm.wait", header.remove(NORM)));
    assertInvalid("expected a tensor " + NORM + ", found nothing");
    writeAnew(small().attentionBias());
    Files.writeString(
        model.resolve("config.json"),
        Files.readString(model.resolve("config.json"))
            .replace("\"attention_bias\":true", "\"attention_bias\":false"));
    assertInvalid("found 4 more: model.layers.0.self_attn.k_proj.bias");
  }

  private void writeAnew(RandomModel random) {
    model = random.write(directory.resolve("anew"));
    file = model.resolve("model.safetensors");
  }

  @Test
  void aShapeOtherThanTheConfigurationsIsRefused() throws IOException {
    Path config = model.resolve("config.json");
    Files.writeString(
        config,
        Files.readString(config).replace("\"intermediate_size\":64", "\"intermediate_size\":96"));
    assertInvalid("gate_proj.weight", "[96, 32] by config.json", "BF16[64, 32]");
  }

  @Test
  void oldBuffersAndATiedOutputAreNoMistake() throws IOException {
    byte[] bytes = Files.readAllBytes(file);
    editHeader(
        header -> {
          long end =
              bytes.length - 8 - ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).getLong();
          header
              .putObject("model.layers.0.self_attn.rotary_emb.inv_freq")
              .put("dtype", "F32")
              .set("data_offsets", JSON.valueToTree(new long[] {end, end}));
          ((ObjectNode) header.path("model.layers.0.self_attn.rotary_emb.inv_freq"))
              .set("shape", JSON.valueToTree(new long[] {0}));
        });
    Path config = model.resolve("config.json");
    Files.writeString(
        config,
        Files.readString(config)
            .replace("\"tie_word_embeddings\":false", "\"tie_word_embeddings\":true"));
    ModelWeights.open(model, Families.read(model)).close();
  }

  @Test
  void aFolderWithoutWeightsSaysWhatItExpects() throws IOException {
    Files.delete(file);
    assertInvalid("expected model.safetensors or " + INDEX + ", found neither");
    Files.createFile(model.resolve("pytorch_model.bin"));
    assertInvalid("convert it to safetensors");
    Files.createDirectory(file);
    assertInvalid("expected a regular file, found a directory");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "{}",
        "{\"weight_map\": {}}",
        "{\"weight_map\": []}",
        "{\"weight_map\": {\"model.norm.weight\": 3}}",
        "{\"weight_map\": {\"model.norm.weight\": \"../model/part.safetensors\"}}",
        "{\"weight_map\": {\"model.norm.weight\": \"/etc/part.safetensors\"}}",
        "{\"weight_map\": {\"model.norm.weight\": \"C:\\\\part.safetensors\"}}",
        "{\"weight_map\": {\"model.norm.weight\": \"config.json\"}}",
        "{\"weight_map\": {\"model.norm.weight\": \"..\"}}"
      })
  void anIndexThatLeadsElsewhereIsRefused(String index) throws IOException {
    Files.delete(file);
    Files.writeString(model.resolve(INDEX), index);
    assertInvalid(INDEX, "weight_map");
  }

  @Test
  void shardsThatDoNotHoldWhatTheIndexSaysAreRefused() throws IOException {
    writeAnew(small().shards(2));
    Path index = model.resolve(INDEX);
    String first = "model-00001-of-00002.safetensors";
    String second = "model-00002-of-00002.safetensors";
    String sound = Files.readString(index);

    ObjectNode wrong = (ObjectNode) JSON.readTree(sound);
    String at = wrong.path("weight_map").path(NORM).textValue();
    ((ObjectNode) wrong.path("weight_map")).put(NORM, at.equals(first) ? second : first);
    Files.write(index, JSON.writeValueAsBytes(wrong));
    assertInvalid(INDEX, "weight_map: " + NORM);

    ((ObjectNode) wrong.path("weight_map")).put(NORM, at).put("model.more", first);
    Files.write(index, JSON.writeValueAsBytes(wrong));
    assertInvalid(first, "model.more", "as " + INDEX + " says");

    ((ObjectNode) wrong.path("weight_map")).remove("model.more");
    Files.writeString(index, sound);
    Files.delete(model.resolve(second));
    assertInvalid(second, "found nothing");
  }

  @Test
  void q4NeedsScalesThatFit() throws IOException {
    model = small().writeQ4(directory.resolve("q4"));
    file = model.resolve("model.safetensors");
    String scales = "model.embed_tokens.weight.qb";
    editHeader(header -> header.set("elsewhere", header.remove(scales)));
    assertInvalid("expected a tensor " + scales + ", found nothing");
    editHeader(
        header -> {
          ObjectNode moved = (ObjectNode) header.remove("elsewhere");
          header.set(scales, moved.set("shape", JSON.valueToTree(new long[] {1, 2048})));
        });
    assertInvalid(scales, "[2048, 1] by config.json", "F32[1, 2048]");
  }
}
