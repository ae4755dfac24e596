package dev.lorikeet.files.family;

import static dev.lorikeet.shape.Projection.DOWN;
import static dev.lorikeet.shape.Projection.GATE;
import static dev.lorikeet.shape.Projection.K;
import static dev.lorikeet.shape.Projection.O;
import static dev.lorikeet.shape.Projection.Q;
import static dev.lorikeet.shape.Projection.UP;
import static dev.lorikeet.shape.Projection.V;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.files.gguf.GgufModel;
import dev.lorikeet.files.model.Architecture;
import dev.lorikeet.files.model.Attention;
import dev.lorikeet.files.model.ConfigFile;
import dev.lorikeet.files.model.Experts;
import dev.lorikeet.files.model.Mlp;
import dev.lorikeet.files.model.Rope;
import dev.lorikeet.files.model.RopeFrequencies;
import dev.lorikeet.shape.ModelShape;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class FamiliesTest {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final String LLAMA =
      """
      {"model_type": "llama", "hidden_size": 64, "intermediate_size": 160, "num_hidden_layers": 3,
       "num_attention_heads": 8, "num_key_value_heads": 2, "vocab_size": 100, "rms_norm_eps": 1e-5,
       "max_position_embeddings": 128, "bos_token_id": 1, "eos_token_id": 2, "hidden_act": "silu"}
      """;

  @TempDir Path directory;

  private Architecture read(String json) throws IOException {
    Files.writeString(directory.resolve(ConfigFile.NAME), json);
    return Families.read(directory);
  }

  /** Reads the Llama with further keys, {@code key: value, ...}, which replace its own. */
  private Architecture with(String keys) throws IOException {
    return read(merged(keys));
  }

  private static String merged(String keys) throws JsonProcessingException {
    ObjectNode config = (ObjectNode) JSON.readTree(LLAMA);
    config.setAll((ObjectNode) JSON.readTree("{" + keys + "}"));
    return config.toString();
  }

  private LorikeetException refused(String json) {
    return assertThrows(LorikeetException.class, () -> read(json));
  }

  private void assertRefused(Code code, String json, String... words) {
    LorikeetException error = refused(json);
    assertEquals(code, error.code(), error.getMessage());
    String message = String.valueOf(error.getMessage());
    assertTrue(message.contains(ConfigFile.NAME), message);
    for (String word : words) {
      assertTrue(message.contains(word), message);
    }
  }

  @Test
  void aPlainLlamaIsReadWithItsDefaults() throws IOException {
    Architecture config = read(LLAMA);
    assertEquals("llama", config.family());
    assertEquals(
        ModelShape.builder()
            .layers(3)
            .hidden(64)
            .intermediate(160)
            .heads(8)
            .kvHeads(2)
            .headDim(8)
            .vocabulary(100)
            .build(),
        config.shape());
    assertEquals(1e-5, config.norm().epsilon());
    assertEquals(List.of(Rope.plain(10_000)), config.attention().ropes());
    assertEquals(Set.of(), config.biased());
    assertFalse(config.tiedEmbeddings());
    assertEquals(128, config.maxPositions());
    assertEquals(OptionalInt.empty(), config.attention().commonWindow());
    assertEquals(OptionalInt.of(1), config.bosToken());
    assertEquals(Set.of(2), config.eosTokens());
  }

  @Test
  void explicitKeysGoBeforeDefaults() throws IOException {
    Architecture config =
        with(
            """
            "head_dim": 16, "num_key_value_heads": null, "tie_word_embeddings": true,
            "attention_bias": true, "mlp_bias": true, "bos_token_id": null, "hidden_act": "swish"
            """);
    assertEquals(16, config.shape().headDim());
    assertEquals(8, config.shape().kvHeads());
    assertTrue(config.tiedEmbeddings());
    assertEquals(Set.of(Q, K, V, O, GATE, UP, DOWN), config.biased());
    assertEquals(OptionalInt.empty(), config.bosToken());
  }

  @Test
  void qwen2HasBiasesOnQueriesKeysAndValuesAlone() throws IOException {
    Architecture config =
        with("\"model_type\": \"qwen2\", \"use_sliding_window\": false, \"sliding_window\": 4");
    assertEquals(Set.of(Q, K, V), config.biased());
    assertEquals(OptionalInt.empty(), config.attention().commonWindow());
  }

  @ParameterizedTest
  @CsvSource({"32, 32", "127, 127", "128, -1", "4096, -1", "null, -1"})
  void aMistralSeesThroughAWindowThatIsShorterThanItsSequences(String window, int expected)
      throws IOException {
    Architecture config = with("\"model_type\": \"mistral\", \"sliding_window\": " + window);
    assertEquals(expected, config.attention().commonWindow().orElse(-1));
    assertEquals(Set.of(), config.biased());
  }

  @Test
  void aMistralThatSaysNothingOfAWindowHasThatOfTheFirst() throws IOException {
    Architecture config = with("\"model_type\": \"mistral\", \"max_position_embeddings\": 8192");
    assertEquals(OptionalInt.of(4096), config.attention().commonWindow());
  }

  /** The factors are those of transformers' formula, by hand. */
  @Test
  void ministral3ScalesQueriesByStepsOfTheFirstTrainingsLength() throws IOException {
    String parameters =
        "\"model_type\": \"ministral3\", \"rope_parameters\": {\"type\": \"yarn\", \"rope_theta\": 1e6,"
            + " \"factor\": 16, \"original_max_position_embeddings\": 16, \"llama_4_scaling_beta\": 0.1}";
    Attention.QueryScaling scaling = with(parameters).attention().queryScaling().orElseThrow();
    assertEquals(new Attention.QueryScaling(0.1, 16), scaling);
    assertEquals(1, scaling.at(15));
    assertEquals(1 + 0.1 * Math.log(2), scaling.at(16));
    assertEquals(1 + 0.1 * Math.log(2), scaling.at(31));
    assertEquals(1 + 0.1 * Math.log(8), scaling.at(127), 1e-15);
    assertTrue(with("").attention().queryScaling().isEmpty());
    assertRefused(Code.MODEL_INVALID, merged("\"model_type\": \"ministral3\""), "rope_parameters");
    assertRefused(
        Code.MODEL_INVALID,
        merged("\"model_type\": \"ministral3\", \"rope_parameters\": {}"),
        "llama_4_scaling_beta");
  }

  @Test
  void qwen3MoeHasExpertsInEveryStepthLayerButThoseThatAreNamed() throws IOException {
    String moe =
        "\"model_type\": \"qwen3_moe\", \"num_experts\": 4, \"num_experts_per_tok\": 2,"
            + " \"moe_intermediate_size\": 32, \"num_hidden_layers\": 6";
    assertEquals(Experts.Dense.NONE, with(moe).experts().orElseThrow().dense());
    Architecture some = with(moe + ", \"decoder_sparse_step\": 2, \"mlp_only_layers\": [1, 4]");
    Experts experts = some.experts().orElseThrow();
    assertEquals(new Experts.Dense(Set.of(0, 1, 2, 4), 160), experts.dense());
    assertTrue(experts.in(3) && experts.in(5) && !experts.in(1));
    assertEquals(32, some.shape().intermediate());
    assertRefused(
        Code.MODEL_INVALID, merged(moe + ", \"mlp_only_layers\": [6]"), "mlp_only_layers", "6");
    assertRefused(
        Code.MODEL_INVALID, merged(moe + ", \"mlp_only_layers\": true"), "mlp_only_layers");
    assertRefused(
        Code.MODEL_INVALID, merged(moe + ", \"decoder_sparse_step\": 0"), "decoder_sparse_step");
  }

  @Test
  void geluMeansTheErrorFunctionUnlessItIsSaidToBeByTanh() throws IOException {
    for (var named :
        Map.of(
                "gelu", Mlp.Activation.GELU,
                "gelu_new", Mlp.Activation.GELU_TANH,
                "gelu_pytorch_tanh", Mlp.Activation.GELU_TANH,
                "silu", Mlp.Activation.SILU)
            .entrySet()) {
      assertEquals(
          named.getValue(), with("\"hidden_act\": \"" + named.getKey() + "\"").mlp().activation());
    }
  }

  @Test
  void longRopeHasFactorsForEitherLength() throws IOException {
    Architecture phi =
        with(
            """
            "model_type": "phi3", "max_position_embeddings": 1024,
            "original_max_position_embeddings": 256, "partial_rotary_factor": 0.5,
            "rope_scaling": {"type": "longrope", "short_factor": [1.0, 2.0],
             "long_factor": [4.0, 8.0]}
            """);
    assertEquals(256, phi.maxPositions());
    RopeFrequencies before = RopeFrequencies.of(8, phi.attention().ropes().getFirst());
    assertArrayEquals(new double[] {1, 0.005}, before.inverse(), 1e-15);
    assertEquals(Math.sqrt(1 + Math.log(4) / Math.log(256)), before.scale(), 1e-15);
    Architecture longer = phi.longContext();
    assertEquals(1024, longer.maxPositions());
    RopeFrequencies after = RopeFrequencies.of(8, longer.attention().ropes().getFirst());
    assertArrayEquals(new double[] {0.25, 0.00125}, after.inverse(), 1e-15);
    assertEquals(before.scale(), after.scale());
    assertEquals(read(LLAMA), read(LLAMA).longContext());
    assertRefused(
        Code.MODEL_INVALID,
        merged(
            "\"model_type\": \"phi3\", \"rope_scaling\": {\"type\": \"su\","
                + " \"short_factor\": [1, 2, 3], \"long_factor\": [1, 2, 3, 4]}"),
        "long_factor",
        "4 factors each, found 3 and 4");
  }

  @Test
  void tokensThatEndAGenerationAreThoseOfBothFiles() throws IOException {
    Files.writeString(
        directory.resolve("generation_config.json"), "{\"eos_token_id\": [5, 2], \"top_k\": 3}");
    assertEquals(Set.of(2, 3, 5), with("\"eos_token_id\": [2, 3]").eosTokens());
    assertEquals(Set.of(2, 5), with("\"eos_token_id\": null").eosTokens());
    Files.writeString(directory.resolve("generation_config.json"), "{\"eos_token_id\": \"2\"}");
    var error = assertThrows(LorikeetException.class, () -> read(LLAMA));
    assertTrue(
        String.valueOf(error.getMessage())
            .contains("generation_config.json: eos_token_id: expected an integer"),
        error.getMessage());
  }

  /** transformers never looks whether the vocabulary has them; -1 says that there is none. */
  @Test
  void tokensThatTheVocabularyDoesNotHaveAreNone() throws IOException {
    Files.writeString(directory.resolve("generation_config.json"), "{\"eos_token_id\": [100, 99]}");
    assertEquals(Set.of(2, 99), with("\"eos_token_id\": [-1, 2, 128009]").eosTokens());
    assertEquals(Set.of(99), with("\"eos_token_id\": -1").eosTokens());
    for (int none : new int[] {-1, 100, 151643}) {
      assertEquals(OptionalInt.empty(), with("\"bos_token_id\": " + none).bosToken());
    }
  }

  @Test
  void dynamicFrequenciesAreTheDefaultUpToTheLongestSequence() throws IOException {
    assertEquals(
        with("\"rope_theta\": 5000"),
        with("\"rope_theta\": 5000, \"rope_scaling\": {\"type\": \"dynamic\", \"factor\": 4}"));
  }

  @Test
  void whatIsNotSupportedIsNamedBesideWhatIs() throws IOException {
    Code unsupported = Code.MODEL_UNSUPPORTED;
    assertRefused(
        unsupported,
        merged("\"model_type\": \"bloom\""),
        "'bloom'",
        "llama, ministral, ministral3, mistral, mixtral, olmo2");
    assertRefused(unsupported, merged("\"hidden_act\": \"relu\""), "hidden_act", "'relu'", "silu");
    assertRefused(
        unsupported,
        merged("\"quantization_config\": {\"quant_method\": \"gptq\"}"),
        "gptq",
        "Jlama's Q4");
    assertRefused(
        unsupported,
        merged(
            "\"model_type\": \"qwen2\", \"layer_types\": [\"full_attention\","
                + " \"chunked_attention\", \"full_attention\"]"),
        "layer_types",
        "chunked_attention");
    for (String kind : new String[] {"proportional", "mrope"}) {
      assertRefused(
          unsupported,
          merged("\"rope_scaling\": {\"type\": \"" + kind + "\", \"factor\": 2}"),
          "'" + kind + "'",
          "default, dynamic, linear, llama3, yarn, longrope");
    }
    assertRefused(
        unsupported,
        merged("\"rope_parameters\": {\"full_attention\": {\"rope_type\": \"default\"}}"),
        "per layer type");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "\"hidden_size\": 0",
        "\"hidden_size\": -64",
        "\"hidden_size\": 63",
        "\"hidden_size\": 64.5",
        "\"hidden_size\": \"64\"",
        "\"hidden_size\": 1e300",
        "\"hidden_size\": 4294967360",
        "\"hidden_size\": 18446744073709551680",
        "\"hidden_size\": null",
        "\"intermediate_size\": 1000000000",
        "\"num_hidden_layers\": 100000",
        "\"num_attention_heads\": 0",
        "\"num_attention_heads\": true",
        "\"num_key_value_heads\": 3",
        "\"num_key_value_heads\": 16",
        "\"head_dim\": 7",
        "\"head_dim\": 1000000",
        "\"vocab_size\": 2147483648",
        "\"rms_norm_eps\": 0",
        "\"rms_norm_eps\": -1",
        "\"rms_norm_eps\": 1",
        "\"max_position_embeddings\": 0",
        "\"max_position_embeddings\": 1000000000",
        "\"rope_theta\": 1",
        "\"rope_theta\": -5",
        "\"rope_scaling\": 3",
        "\"rope_scaling\": {\"type\": \"linear\"}",
        "\"rope_scaling\": {\"type\": \"linear\", \"factor\": 0}",
        "\"rope_scaling\": {\"type\": \"linear\", \"factor\": \"4\"}",
        "\"rope_scaling\": {\"type\": 3}",
        "\"rope_scaling\": {\"type\": \"llama3\", \"factor\": 8}",
        "\"rope_scaling\": {\"type\": \"llama3\", \"factor\": 8, \"low_freq_factor\": 4,"
            + " \"high_freq_factor\": 4}",
        "\"rope_scaling\": {\"type\": \"yarn\", \"factor\": 1e30}",
        "\"rope_scaling\": {\"type\": \"yarn\", \"original_max_position_embeddings\": 0}",
        "\"bos_token_id\": [1]",
        "\"eos_token_id\": 4294967296",
        "\"eos_token_id\": [2, \"3\"]",
        "\"eos_token_id\": {}",
        "\"tie_word_embeddings\": 1",
        "\"model_type\": null",
        "\"model_type\": 3"
      })
  void aSenselessValueIsRefusedByKey(String key) throws IOException {
    String name = key.substring(1, key.indexOf('"', 1));
    assertRefused(
        Code.MODEL_INVALID,
        merged(key),
        name.equals("rope_scaling") ? "rope_" : name,
        "expected",
        "found");
  }

  @Test
  void aFamilyWhoseDefaultIsAGuessMustSayItsKeyValueHeads() throws IOException {
    ObjectNode config = (ObjectNode) JSON.readTree(LLAMA);
    config.remove("num_key_value_heads");
    assertEquals(8, read(config.toString()).shape().kvHeads());
    config.put("model_type", "mistral");
    assertRefused(Code.MODEL_INVALID, config.toString(), "num_key_value_heads");
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "{", "[]", "null", "{} {}", "{\"a\": 1, \"a\": 2}", "\u0000"})
  void aFileThatIsNoJsonObjectIsRefused(String json) {
    assertRefused(Code.MODEL_INVALID, json);
  }

  @Test
  void absurdlyNestedJsonIsRefused() {
    assertRefused(Code.MODEL_INVALID, "{\"a\": " + "[".repeat(100_000) + "]".repeat(100_000) + "}");
  }

  @Test
  void aMissingFileIsNamed() {
    var error = assertThrows(LorikeetException.class, () -> Families.read(directory));
    assertEquals(
        directory.resolve(ConfigFile.NAME) + ": expected a regular file, found nothing",
        error.getMessage());
  }

  @Test
  void whatPeopleNameInPlaceOfAModelIsSaid() throws IOException {
    assertOther(Files.createFile(directory.resolve("weights.bin")), "name the folder");
    assertOther(directory.resolve("gpt2"), "owner/name");
    Path cached = Files.createDirectory(directory.resolve("models--some--model"));
    assertOther(directory, "found a cache of the hub: name a model in it as owner/name");
    Files.createDirectory(cached.resolve("snapshots"));
    assertOther(cached, "found a model in the hub's cache: name it as owner/name");
    Files.writeString(cached.resolve("adapter_config.json"), "{}");
    assertOther(cached, "found an adapter: name the base model");
    Files.writeString(directory.resolve(ConfigFile.NAME), LLAMA);
    assertEquals("llama", Families.read(directory).family());
  }

  @Test
  void oneGgufFileIsTakenAndOfSeveralOneIsToBeNamed() throws IOException {
    Path small = directory.resolve("model-q4_k_m.GGUF");
    Path large = directory.resolve("model-q8_0.gguf");
    Files.createFile(small);
    assertEquals(small, GgufModel.at(small).orElseThrow());
    assertEquals(small, GgufModel.at(directory).orElseThrow());
    var empty = assertThrows(LorikeetException.class, () -> Families.read(directory));
    assertTrue(
        String.valueOf(empty.getMessage()).startsWith(small + ": magic word: expected 4 more"),
        empty.getMessage());
    Files.createFile(large);
    assertEquals(large, GgufModel.at(large).orElseThrow());
    var several = assertThrows(LorikeetException.class, () -> Families.read(directory));
    assertEquals(Code.MODEL_INVALID, several.code());
    assertEquals(
        directory
            + ": expected one GGUF file, found 2: name the one that is meant:"
            + " model-q4_k_m.GGUF, model-q8_0.gguf",
        several.getMessage());
    Files.createFile(directory.resolve("model.safetensors"));
    assertTrue(GgufModel.at(directory).isEmpty(), "weights of Hugging Face's go first");
    Path unnamed = directory.resolve("sha256-0123");
    Files.write(unnamed, new byte[] {'G', 'G', 'U', 'F', 3});
    assertEquals(unnamed, GgufModel.at(unnamed).orElseThrow());
  }

  private static void assertOther(Path path, String found) {
    var error = assertThrows(LorikeetException.class, () -> Families.read(path));
    assertEquals(Code.MODEL_INVALID, error.code());
    String message = String.valueOf(error.getMessage());
    assertTrue(message.startsWith(path + ": expected a model directory"), message);
    assertTrue(message.contains(found), message);
  }

  @Test
  void aHugeFileIsNotRead() throws IOException {
    Files.writeString(directory.resolve(ConfigFile.NAME), LLAMA + " ".repeat((16 << 20) + 1));
    var error = assertThrows(LorikeetException.class, () -> Families.read(directory));
    assertTrue(String.valueOf(error.getMessage()).contains("at most 16777216 bytes"));
  }
}
