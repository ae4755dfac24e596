package dev.lorikeet.jlama.weights;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.github.tjake.jlama.safetensors.DType;
import com.github.tjake.jlama.safetensors.SafeTensorSupport;
import dev.lorikeet.files.safetensors.SafetensorsWriter;
import dev.lorikeet.files.safetensors.StoredType;
import dev.lorikeet.tensor.ElementType;
import dev.lorikeet.tiny.TinyModel;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Random;
import org.jspecify.annotations.Nullable;

/**
 * A small model of random weights, written as a Hugging Face directory: {@code
 * RandomModel.llama(seed).type(F16).shards(3).write(directory)}. The same seed gives the same
 * values, rounded to whatever type is asked for. The tokenizer is the tiny model's, so the
 * vocabulary is 2,048.
 */
public final class RandomModel {
  /** The vocabulary of the tiny model's tokenizer. */
  public static final int VOCABULARY = 2048;

  private static final ObjectMapper JSON = new ObjectMapper();

  private final String family;
  private final long seed;
  private final Map<String, Object> extra = new LinkedHashMap<>();
  private int hidden = 128;
  private int intermediate = 192;
  private int layers = 2;
  private int heads = 4;
  private int kvHeads = 2;
  private Optional<Integer> headDim = Optional.empty();
  private boolean tied;
  private boolean attentionBias;
  private boolean mlpBias;
  private ElementType type = ElementType.F32;
  private int shards = 1;

  private RandomModel(String family, long seed) {
    this.family = family;
    this.seed = seed;
  }

  /** A Llama of 2 layers, 4 heads over 2 KV heads, hidden 128, intermediate 192, float32. */
  public static RandomModel llama(long seed) {
    return new RandomModel("llama", seed);
  }

  /** A Mistral of the same sizes, without sliding window. */
  public static RandomModel mistral(long seed) {
    return new RandomModel("mistral", seed).config("sliding_window", null);
  }

  /** A Qwen2 of the same sizes, with its biases on q, k and v. */
  public static RandomModel qwen2(long seed) {
    return new RandomModel("qwen2", seed);
  }

  /** Sets the widths of the residual stream and of the MLP. */
  public RandomModel widths(int hiddenSize, int intermediateSize) {
    this.hidden = hiddenSize;
    this.intermediate = intermediateSize;
    return this;
  }

  /** Sets the number of layers. */
  public RandomModel layers(int count) {
    this.layers = count;
    return this;
  }

  /** Sets query and KV heads. */
  public RandomModel heads(int queries, int keysAndValues) {
    this.heads = queries;
    this.kvHeads = keysAndValues;
    return this;
  }

  /** Sets a head width other than hidden / heads. */
  public RandomModel headDim(int width) {
    this.headDim = Optional.of(width);
    return this;
  }

  /** Ties the output matrix to the embedding. */
  public RandomModel tied() {
    this.tied = true;
    return this;
  }

  /** Gives a Llama biases on q, k, v and o. */
  public RandomModel attentionBias() {
    this.attentionBias = true;
    return this;
  }

  /** Gives a Llama biases on gate, up and down. */
  public RandomModel mlpBias() {
    this.mlpBias = true;
    return this;
  }

  /** Sets how weights are stored. */
  public RandomModel type(ElementType elementType) {
    this.type = elementType;
    return this;
  }

  /** Splits the weights over so many files with an index. */
  public RandomModel shards(int count) {
    this.shards = count;
    return this;
  }

  /** Adds or replaces a key of {@code config.json}; a map becomes an object, null JSON's null. */
  public RandomModel config(String key, @Nullable Object value) {
    this.extra.put(key, value);
    return this;
  }

  /** Writes the model and returns its directory, which is made where it is not there. */
  public Path write(Path directory) {
    try {
      Files.createDirectories(directory);
      writeTokenizer(directory);
      Files.writeString(directory.resolve("README.md"), "random weights\n");
      Files.write(directory.resolve("config.json"), JSON.writeValueAsBytes(configuration()));
      List<Map.Entry<String, int[]>> tensors = List.copyOf(tensors().entrySet());
      if (shards == 1) {
        writeFile(directory.resolve("model.safetensors"), tensors);
        return directory;
      }
      Map<String, String> index = new LinkedHashMap<>();
      for (int shard = 0; shard < shards; shard++) {
        String name = "model-%05d-of-%05d.safetensors".formatted(shard + 1, shards);
        List<Map.Entry<String, int[]>> part = new ArrayList<>();
        for (int i = shard; i < tensors.size(); i += shards) {
          part.add(tensors.get(i));
          index.put(tensors.get(i).getKey(), name);
        }
        writeFile(directory.resolve(name), part);
      }
      Files.write(
          directory.resolve("model.safetensors.index.json"),
          JSON.writeValueAsBytes(Map.of("metadata", Map.of(), "weight_map", index)));
      return directory;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** Writes the model, quantizes it to Q4 as Jlama does, and returns the quantized directory. */
  public Path writeQ4(Path directory) {
    Path source = write(directory.resolveSibling(directory.getFileName() + "-source"));
    try {
      return SafeTensorSupport.quantizeModel(
          source, DType.Q4, new String[] {"norm"}, new String[0], Optional.of(directory));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private ObjectNode configuration() {
    Map<String, Object> config = new LinkedHashMap<>();
    config.put("model_type", family);
    config.put("hidden_size", hidden);
    config.put("intermediate_size", intermediate);
    config.put("num_hidden_layers", layers);
    config.put("num_attention_heads", heads);
    config.put("num_key_value_heads", kvHeads);
    headDim.ifPresent(width -> config.put("head_dim", width));
    config.put("vocab_size", VOCABULARY);
    config.put("rms_norm_eps", 1e-5);
    config.put("rope_theta", 10000.0);
    config.put("max_position_embeddings", 512);
    config.put("bos_token_id", 1);
    config.put("eos_token_id", 2);
    config.put("hidden_act", "silu");
    config.put("tie_word_embeddings", tied);
    if (family.equals("llama")) {
      config.put("attention_bias", attentionBias);
      config.put("mlp_bias", mlpBias);
    }
    config.putAll(extra);
    return JSON.valueToTree(config);
  }

  private Map<String, int[]> tensors() {
    int width = headDim.orElse(hidden / heads);
    Map<String, int[]> tensors = new LinkedHashMap<>();
    tensors.put("model.embed_tokens.weight", new int[] {VOCABULARY, hidden});
    for (int layer = 0; layer < layers; layer++) {
      String prefix = "model.layers." + layer + ".";
      boolean qwen = family.equals("qwen2");
      linear(tensors, prefix + "self_attn.q_proj", heads * width, hidden, attentionBias || qwen);
      linear(tensors, prefix + "self_attn.k_proj", kvHeads * width, hidden, attentionBias || qwen);
      linear(tensors, prefix + "self_attn.v_proj", kvHeads * width, hidden, attentionBias || qwen);
      linear(tensors, prefix + "self_attn.o_proj", hidden, heads * width, attentionBias);
      linear(tensors, prefix + "mlp.gate_proj", intermediate, hidden, mlpBias);
      linear(tensors, prefix + "mlp.up_proj", intermediate, hidden, mlpBias);
      linear(tensors, prefix + "mlp.down_proj", hidden, intermediate, mlpBias);
      tensors.put(prefix + "input_layernorm.weight", new int[] {hidden});
      tensors.put(prefix + "post_attention_layernorm.weight", new int[] {hidden});
    }
    tensors.put("model.norm.weight", new int[] {hidden});
    if (!tied) {
      tensors.put("lm_head.weight", new int[] {VOCABULARY, hidden});
    }
    return tensors;
  }

  private static void linear(
      Map<String, int[]> tensors, String name, int out, int in, boolean bias) {
    tensors.put(name + ".weight", new int[] {out, in});
    if (bias) {
      tensors.put(name + ".bias", new int[] {out});
    }
  }

  static void writeTokenizer(Path directory) throws IOException {
    for (String file : List.of("tokenizer.json", "tokenizer_config.json")) {
      String resource = "/META-INF/lorikeet/tiny-model/base/" + file;
      try (InputStream in = TinyModel.class.getResourceAsStream(resource)) {
        Files.copy(Objects.requireNonNull(in, resource), directory.resolve(file));
      }
    }
  }

  /** Writes random tensors of the type that was set. */
  void writeFile(Path file, List<Map.Entry<String, int[]>> tensors) throws IOException {
    SafetensorsWriter writer = new SafetensorsWriter();
    for (var tensor : tensors) {
      List<Long> shape = Arrays.stream(tensor.getValue()).asLongStream().boxed().toList();
      writer.add(
          tensor.getKey(),
          StoredType.of(type),
          shape,
          output ->
              output.write(MemorySegment.ofBuffer(values(tensor.getKey(), tensor.getValue()))));
    }
    writer.write(file);
  }

  private ByteBuffer values(String name, int[] shape) {
    Random random = new Random(seed * 31 + name.hashCode()); // its values are specified
    int elements = shape.length == 1 ? shape[0] : shape[0] * shape[1];
    double mean = shape.length == 1 && name.endsWith(".weight") ? 1 : 0;
    double deviation = shape.length == 1 ? 0.1 : 1 / Math.sqrt(shape[1]);
    if (name.startsWith("model.embed_tokens")) {
      deviation = tied ? deviation : 1;
    }
    ByteBuffer bytes = ByteBuffer.allocate(elements * type.bytes());
    MemorySegment memory = MemorySegment.ofBuffer(bytes);
    for (int i = 0; i < elements; i++) {
      float value = (float) (mean + deviation * random.nextGaussian());
      type.write(memory, (long) i * type.bytes(), value);
    }
    return bytes;
  }
}
