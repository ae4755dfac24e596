package dev.lorikeet.bench.model;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.lorikeet.files.gguf.GgufWriter;
import dev.lorikeet.files.safetensors.StoredType;
import dev.lorikeet.shape.ModelShape;
import dev.lorikeet.shape.Projection;
import dev.lorikeet.tensor.ElementType;
import java.io.IOException;
import java.io.OutputStream;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.function.IntUnaryOperator;
import java.util.stream.IntStream;

/**
 * Turns Llama models and their PEFT adapters into GGUF files of the same weights. llama.cpp rotates
 * neighbouring pairs where Hugging Face rotates the halves of a head, so rows of the query and key
 * projections change places. Norms stay F32. F16 holds BF16 weights exactly down to 2^-17, below
 * which it drops bits that no sum would show.
 */
public final class GgufConverter {
  private static final Map<Projection, String> NAMES =
      Map.of(
          Projection.Q, "attn_q",
          Projection.K, "attn_k",
          Projection.V, "attn_v",
          Projection.O, "attn_output",
          Projection.GATE, "ffn_gate",
          Projection.UP, "ffn_up",
          Projection.DOWN, "ffn_down");
  private static final int NORMAL_TOKEN = 1;
  private static final int CONTROL_TOKEN = 3;

  private static final int CHUNK_BYTES = 1 << 20;

  /** Gives the element at an index, row after row. */
  interface Elements {
    float get(long index);
  }

  private GgufConverter() {}

  /**
   * Writes a model.
   *
   * @param model Hugging Face directory
   * @param shape its sizes
   * @param vocabulary the vocabulary that the file gets
   * @param bf16 whether matrices are BF16, else F16
   */
  public static void writeModel(
      Path model, ModelShape shape, Vocabulary vocabulary, boolean bf16, Path file)
      throws IOException {
    JsonNode config = new ObjectMapper().readTree(model.resolve("config.json").toFile());
    String type = config.path("model_type").asText();
    if (!type.equals("llama") && !type.equals("mistral")
        || config.path("rope_scaling").isObject()) {
      throw new IOException(
          model + ": can write GGUF files of Llama models without RoPE scaling, found " + type);
    }
    GgufWriter gguf = new GgufWriter();
    describe(gguf, config, shape);
    vocabulary(gguf, vocabulary);
    try (Arena arena = Arena.ofConfined()) {
      Safetensors tensors = Safetensors.map(model, arena);
      ElementType matrices = bf16 ? ElementType.BF16 : ElementType.F16;
      copy(gguf, tensors.get("model.embed_tokens.weight"), "token_embd.weight", matrices);
      copy(gguf, tensors.get("model.norm.weight"), "output_norm.weight", ElementType.F32);
      if (!config.path("tie_word_embeddings").asBoolean(false)
          && tensors.find("lm_head.weight").isPresent()) {
        copy(gguf, tensors.get("lm_head.weight"), "output.weight", matrices);
      }
      for (int layer = 0; layer < shape.layers(); layer++) {
        layer(gguf, tensors, layer, shape, matrices);
      }
      gguf.write(file);
    }
  }

  private static void describe(GgufWriter gguf, JsonNode config, ModelShape shape) {
    gguf.text("general.architecture", "llama")
        .text("general.name", "lorikeet-benchmark")
        .number("llama.block_count", shape.layers())
        .number("llama.context_length", config.path("max_position_embeddings").asInt(2048))
        .number("llama.embedding_length", shape.hidden())
        .number("llama.feed_forward_length", shape.intermediate())
        .number("llama.attention.head_count", shape.heads())
        .number("llama.attention.head_count_kv", shape.kvHeads())
        .number("llama.attention.key_length", shape.headDim())
        .number("llama.attention.value_length", shape.headDim())
        .decimal(
            "llama.attention.layer_norm_rms_epsilon",
            (float) config.path("rms_norm_eps").asDouble(1e-6))
        .number("llama.rope.dimension_count", shape.headDim())
        .decimal("llama.rope.freq_base", (float) config.path("rope_theta").asDouble(10_000))
        .number("llama.vocab_size", shape.vocabulary());
  }

  private static void vocabulary(GgufWriter gguf, Vocabulary vocabulary) {
    List<Integer> ids = IntStream.range(0, vocabulary.size()).boxed().toList();
    gguf.text("tokenizer.ggml.model", "llama")
        .texts("tokenizer.ggml.tokens", ids.stream().map(vocabulary::token).toList())
        .decimals("tokenizer.ggml.scores", ids.stream().map(id -> 0f).toList())
        .numbers(
            "tokenizer.ggml.token_type",
            ids.stream()
                .map(id -> vocabulary.isSpecial(id) ? CONTROL_TOKEN : NORMAL_TOKEN)
                .toList())
        .number("tokenizer.ggml.bos_token_id", vocabulary.bos())
        .number("tokenizer.ggml.eos_token_id", vocabulary.eos())
        .number("tokenizer.ggml.unknown_token_id", 0)
        .flag("tokenizer.ggml.add_bos_token", true)
        .flag("tokenizer.ggml.add_eos_token", false)
        .flag("tokenizer.ggml.add_space_prefix", false);
  }

  private static void layer(
      GgufWriter gguf, Safetensors tensors, int layer, ModelShape shape, ElementType matrices)
      throws IOException {
    String from = "model.layers." + layer + ".";
    String to = "blk." + layer + ".";
    copy(
        gguf,
        tensors.get(from + "input_layernorm.weight"),
        to + "attn_norm.weight",
        ElementType.F32);
    copy(
        gguf,
        tensors.get(from + "post_attention_layernorm.weight"),
        to + "ffn_norm.weight",
        ElementType.F32);
    for (Projection projection : Projection.ofLayer()) {
      var tensor = tensors.get(from + projection.path() + ".weight");
      add(
          gguf,
          to + NAMES.get(projection) + ".weight",
          tensor.shape(),
          matrices,
          outputs(tensor, projection, shape));
    }
  }

  private static void copy(
      GgufWriter gguf, Safetensors.Tensor tensor, String name, ElementType type) {
    add(gguf, name, tensor.shape(), type, tensor::get);
  }

  /** Adds a tensor of the given sizes, slowest first as in Hugging Face. */
  static GgufWriter add(
      GgufWriter gguf, String name, List<Integer> shape, ElementType type, Elements elements) {
    List<Long> sizes = shape.stream().map(Integer::longValue).toList();
    long count = sizes.stream().reduce(1L, (a, b) -> a * b);
    return gguf.tensor(
        name, StoredType.of(type), sizes, output -> write(output, type, count, elements));
  }

  private static void write(OutputStream output, ElementType type, long count, Elements elements)
      throws IOException {
    byte[] bytes = new byte[CHUNK_BYTES];
    MemorySegment chunk = MemorySegment.ofArray(bytes);
    int at = 0;
    for (long i = 0; i < count; i++) {
      type.write(chunk, at, elements.get(i));
      at += type.bytes();
      if (at == bytes.length) {
        output.write(bytes);
        at = 0;
      }
    }
    output.write(bytes, 0, at);
  }

  /** Returns the elements of a matrix whose rows are taken in another order. */
  static Elements rows(Elements elements, int columns, IntUnaryOperator sourceRow) {
    return index ->
        elements.get(
            (long) sourceRow.applyAsInt((int) (index / columns)) * columns + index % columns);
  }

  /** Returns the elements of a matrix with a row per output feature, as llama.cpp orders those. */
  private static Elements outputs(
      Safetensors.Tensor tensor, Projection projection, ModelShape shape) {
    if (projection != Projection.Q && projection != Projection.K) {
      return tensor::get;
    }
    int half = shape.headDim() / 2;
    return rows(
        tensor::get,
        tensor.columns(),
        row -> {
          int inHead = row % shape.headDim();
          return row - inHead + inHead % 2 * half + inHead / 2;
        });
  }

  /** Writes an adapter, in F16 as llama.cpp's own converter does. */
  public static void writeAdapter(Path adapter, ModelShape shape, Path file) throws IOException {
    JsonNode config = new ObjectMapper().readTree(adapter.resolve("adapter_config.json").toFile());
    GgufWriter gguf =
        new GgufWriter()
            .text("general.type", "adapter")
            .text("general.architecture", "llama")
            .text("adapter.type", "lora")
            .decimal("adapter.lora.alpha", (float) config.path("lora_alpha").asDouble());
    try (Arena arena = Arena.ofConfined()) {
      Safetensors tensors = Safetensors.map(adapter, arena);
      for (int layer = 0; layer < shape.layers(); layer++) {
        for (Projection projection : Projection.ofLayer()) {
          String from = "base_model.model.model.layers." + layer + "." + projection.path();
          String to = "blk." + layer + "." + NAMES.get(projection) + ".weight";
          var a = tensors.get(from + ".lora_A.weight");
          var b = tensors.get(from + ".lora_B.weight");
          add(gguf, to + ".lora_a", a.shape(), ElementType.F16, a::get);
          add(gguf, to + ".lora_b", b.shape(), ElementType.F16, outputs(b, projection, shape));
        }
      }
      gguf.write(file);
    }
  }
}
