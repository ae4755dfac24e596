package dev.lorikeet.files.gguf;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.files.family.Families;
import dev.lorikeet.files.model.Architecture;
import dev.lorikeet.files.model.RopeFrequencies;
import dev.lorikeet.files.model.RopeScaling;
import dev.lorikeet.files.safetensors.StoredType;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.OptionalInt;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Metadata as an architecture, held to what the families read from a config.json. */
class GgufConfigTest {
  @TempDir Path folder;

  /** A model of 64 features and 4 heads of 16. */
  private static GgufWriter model(String architecture) {
    return new GgufWriter()
        .text("general.architecture", architecture)
        .number(architecture + ".block_count", 2)
        .number(architecture + ".context_length", 131_072)
        .number(architecture + ".embedding_length", 64)
        .number(architecture + ".feed_forward_length", 96)
        .number(architecture + ".attention.head_count", 4)
        .number(architecture + ".attention.head_count_kv", 2)
        .decimal(architecture + ".attention.layer_norm_rms_epsilon", 1e-5f)
        .tensor("token_embd.weight", StoredType.F32, List.of(8L, 64L), zeros(8 * 64));
  }

  private static GgufWriter.Data zeros(int elements) {
    return out -> out.write(new byte[4 * elements]);
  }

  private static GgufWriter.Data floats(double... values) {
    ByteBuffer bytes = ByteBuffer.allocate(4 * values.length).order(ByteOrder.LITTLE_ENDIAN);
    for (double value : values) {
      bytes.putFloat((float) value);
    }
    return out -> out.write(bytes.array());
  }

  private Architecture read(GgufWriter writer) throws IOException {
    Path file = folder.resolve("model.gguf");
    writer.write(file);
    return Families.read(file);
  }

  private Architecture ofConfig(String more) throws IOException {
    Path directory = Files.createDirectories(folder.resolve("model"));
    Files.writeString(
        directory.resolve("config.json"),
        """
        {"model_type": "llama", "hidden_size": 64, "num_hidden_layers": 2, "vocab_size": 8,
         "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 96,
         "max_position_embeddings": 131072, "rms_norm_eps": 1e-5, "tie_word_embeddings": true,
        """
            + more
            + "}");
    return Families.read(directory);
  }

  @Test
  void aLlamaIsThatOfItsConfiguration() throws IOException {
    Architecture found = read(model("llama").decimal("llama.rope.freq_base", 500_000));
    assertEquals(ofConfig("\"rope_theta\": 500000.0"), found);
  }

  /** Llama 3's rule, applied when a file is made, is a divisor for each frequency. */
  @Test
  void factorsOfFrequenciesAreLlama3s() throws IOException {
    Architecture expected =
        ofConfig(
            "\"rope_theta\": 500000.0, \"rope_scaling\": {\"rope_type\": \"llama3\", \"factor\": 8.0,"
                + " \"low_freq_factor\": 1.0, \"high_freq_factor\": 4.0,"
                + " \"original_max_position_embeddings\": 8192}");
    double[] wanted = frequencies(expected);
    double[] factors = new double[8];
    for (int i = 0; i < 8; i++) {
      factors[i] = Math.pow(500_000, -2.0 * i / 16) / wanted[i];
    }
    Architecture found =
        read(
            model("llama")
                .decimal("llama.rope.freq_base", 500_000)
                .tensor("rope_freqs.weight", StoredType.F32, List.of(8L), floats(factors)));
    assertArrayEquals(wanted, frequencies(found), 1e-7);
    assertEquals(131_072, found.maxPositions());
    assertRefused(
        "rope_freqs.weight': expected F32[8], found F32[4]",
        model("llama")
            .tensor("rope_freqs.weight", StoredType.F32, List.of(4L), floats(1, 1, 1, 1)));
    assertRefused(
        "rope_freqs.weight': expected numbers above 0",
        model("llama")
            .tensor(
                "rope_freqs.weight", StoredType.F32, List.of(8L), floats(1, 1, 0, 1, 1, 1, 1, 1)));
  }

  private static double[] frequencies(Architecture architecture) {
    return RopeFrequencies.of(16, architecture.attention().ropes().getFirst()).inverse();
  }

  @Test
  void linearAndYarnStretchAsTheirKeysSay() throws IOException {
    assertEquals(
        ofConfig("\"rope_scaling\": {\"rope_type\": \"linear\", \"factor\": 4.0}"),
        read(
            model("llama")
                .text("llama.rope.scaling.type", "linear")
                .decimal("llama.rope.scaling.factor", 4)));
    assertEquals(
        ofConfig(
            "\"rope_scaling\": {\"rope_type\": \"yarn\", \"factor\": 4.0,"
                + " \"original_max_position_embeddings\": 32768}"),
        read(
            model("llama")
                .text("llama.rope.scaling.type", "yarn")
                .decimal("llama.rope.scaling.factor", 4)
                .number("llama.rope.scaling.original_context_length", 32_768)));
    assertRefused(
        "llama.rope.scaling.type: expected none, linear or yarn",
        model("llama").text("llama.rope.scaling.type", "su"));
  }

  @Test
  void longRopeHasTwoSetsOfFactors() throws IOException {
    Architecture found =
        read(
            model("phi3")
                .number("phi3.rope.dimension_count", 12)
                .number("phi3.rope.scaling.original_context_length", 4096)
                .decimal("phi3.rope.scaling.attn_factor", 1.25f)
                .tensor(
                    "rope_factors_short.weight",
                    StoredType.F32,
                    List.of(6L),
                    floats(1, 1, 1, 1, 1, 2))
                .tensor(
                    "rope_factors_long.weight",
                    StoredType.F32,
                    List.of(6L),
                    floats(1, 2, 3, 4, 5, 6)));
    var rope = found.attention().ropes().getFirst();
    assertEquals(12, rope.rotated(16));
    assertEquals(
        new RopeScaling.LongRope(
            List.of(1.0, 1.0, 1.0, 1.0, 1.0, 2.0),
            List.of(1.0, 2.0, 3.0, 4.0, 5.0, 6.0),
            1.25,
            4096,
            131_072,
            false),
        rope.scaling());
    assertEquals(4096, found.maxPositions());
    assertEquals(131_072, found.longContext().maxPositions());
  }

  /** However a part of a head is written as a fraction, as many elements are rotated. */
  @Test
  void partsOfHeadsAreExact() throws IOException {
    for (int width : new int[] {16, 80, 96, 128, 192, 256}) {
      for (int rotated = 2; rotated <= width; rotated += 2) {
        Architecture found =
            read(
                model("qwen2")
                    .number("qwen2.attention.key_length", width)
                    .number("qwen2.attention.value_length", width)
                    .number("qwen2.rope.dimension_count", rotated));
        assertEquals(rotated, found.attention().ropes().getFirst().rotated(width));
      }
    }
  }

  @Test
  void tokensThatEndAGenerationAreFoundByKeyAndByText() throws IOException {
    Architecture found =
        read(
            model("llama")
                .texts(
                    "tokenizer.ggml.tokens",
                    List.of("a", "b", "<|eot_id|>", "<|im_end|>", "c", "d"))
                .numbers("tokenizer.ggml.token_type", List.of(1, 1, 3, 1, 3, 1))
                .number("tokenizer.ggml.bos_token_id", 1)
                .number("tokenizer.ggml.eos_token_id", 5)
                .number("tokenizer.ggml.eot_token_id", 4));
    assertEquals(Set.of(2, 4, 5), found.eosTokens());
    assertEquals(OptionalInt.of(1), found.bosToken());
  }

  @Test
  void numbersForEachLayerMustBeEqual() throws IOException {
    GgufWriter equal =
        new GgufWriter()
            .text("general.architecture", "llama")
            .number("llama.block_count", 2)
            .number("llama.context_length", 131_072)
            .number("llama.embedding_length", 64)
            .numbers("llama.feed_forward_length", List.of(96, 96))
            .number("llama.attention.head_count", 4)
            .numbers("llama.attention.head_count_kv", List.of(2, 2))
            .decimal("llama.attention.layer_norm_rms_epsilon", 1e-5f)
            .tensor("token_embd.weight", StoredType.F32, List.of(8L, 64L), zeros(8 * 64));
    assertEquals(ofConfig("\"rope_theta\": 10000.0"), read(equal));
    assertRefused(
        "llama.feed_forward_length: expected one number for all layers, found several",
        new GgufWriter()
            .text("general.architecture", "llama")
            .number("llama.embedding_length", 64)
            .number("llama.block_count", 2)
            .number("llama.attention.head_count", 4)
            .numbers("llama.feed_forward_length", List.of(96, 32)));
  }

  @Test
  void whatIsNoModelThatIsKnownIsRefusedByName() throws IOException {
    assertRefused(
        "general.architecture: expected one of gemma, gemma2, gemma3, gpt2",
        new GgufWriter().text("general.architecture", "mamba"));
    assertRefused("found 'mamba'", new GgufWriter().text("general.architecture", "mamba"));
    assertRefused("general.architecture: expected one of", new GgufWriter());
    assertRefused(
        "found an adapter: name the base model", model("llama").text("general.type", "adapter"));
    assertRefused(
        "split.count: expected a model in one file", model("llama").number("split.count", 3));
    assertRefused(
        "llama.attention.causal: expected true",
        model("llama").flag("llama.attention.causal", false));
    assertRefused(
        "llama.logit_scale: expected nothing, found 0.5",
        model("llama").decimal("llama.logit_scale", 0.5f));
    assertRefused(
        "qwen2.expert_count: expected none", model("qwen2").number("qwen2.expert_count", 4));
    assertRefused(
        "llama.attention.value_length: expected attention.key_length, 16",
        model("llama").number("llama.attention.value_length", 8));
    assertRefused(
        "llama.rope.dimension_count: expected at most",
        model("llama").number("llama.rope.dimension_count", 32));
    assertRefused(
        "llama.context_length: expected a whole number from 1 on, found nothing",
        new GgufWriter()
            .text("general.architecture", "llama")
            .number("llama.embedding_length", 64)
            .number("llama.block_count", 2)
            .number("llama.feed_forward_length", 96)
            .number("llama.attention.head_count", 4));
  }

  private void assertRefused(String message, GgufWriter writer) {
    var error = assertThrows(LorikeetException.class, () -> read(writer));
    String found = String.valueOf(error.getMessage());
    assertTrue(found.contains(message) && found.contains("model.gguf"), found);
    assertTrue(error.code() == Code.MODEL_INVALID || error.code() == Code.MODEL_UNSUPPORTED, found);
  }
}
