package dev.lorikeet.jlama.gguf;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.lorikeet.files.gguf.GgufWriter;
import dev.lorikeet.files.safetensors.SafetensorsFile;
import dev.lorikeet.files.safetensors.StoredTensor;
import dev.lorikeet.files.safetensors.StoredType;
import dev.lorikeet.tensor.ElementType;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Turns Hugging Face directories and PEFT adapters into GGUF files as llama.cpp's converters do:
 * names, metadata, rows of q and k in their other order, weights of Gemma's norms with the one
 * added, GPT-2's matrices by rows, experts as one tensor. Written down apart from what reads them.
 */
final class GgufConversion {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final Pattern LAYER =
      Pattern.compile("(?:model\\.layers|transformer\\.h)\\.(\\d+)\\.(.*)\\.(weight|bias)");
  private static final Pattern EXPERT = Pattern.compile("(.*)experts\\.(\\d+)\\.(\\w+)");

  private static final Map<String, String> MODULES =
      Map.ofEntries(
          Map.entry("self_attn.q_proj", "attn_q"),
          Map.entry("self_attn.k_proj", "attn_k"),
          Map.entry("self_attn.v_proj", "attn_v"),
          Map.entry("self_attn.o_proj", "attn_output"),
          Map.entry("self_attn.qkv_proj", "attn_qkv"),
          Map.entry("self_attn.q_norm", "attn_q_norm"),
          Map.entry("self_attn.k_norm", "attn_k_norm"),
          Map.entry("mlp.gate_proj", "ffn_gate"),
          Map.entry("mlp.up_proj", "ffn_up"),
          Map.entry("mlp.down_proj", "ffn_down"),
          Map.entry("mlp.gate_up_proj", "ffn_up"),
          Map.entry("mlp.c_fc", "ffn_up"),
          Map.entry("mlp.c_proj", "ffn_down"),
          Map.entry("input_layernorm", "attn_norm"),
          Map.entry("pre_feedforward_layernorm", "ffn_norm"),
          Map.entry("post_feedforward_layernorm", "post_ffw_norm"),
          Map.entry("ln_1", "attn_norm"),
          Map.entry("ln_2", "ffn_norm"),
          Map.entry("attn.c_attn", "attn_qkv"),
          Map.entry("attn.c_proj", "attn_output"),
          Map.entry("block_sparse_moe.gate", "ffn_gate_inp"),
          Map.entry("mlp.gate", "ffn_gate_inp"));

  private static final Map<String, String> EXPERTS =
      Map.of(
          "w1", "ffn_gate_exps",
          "w2", "ffn_down_exps",
          "w3", "ffn_up_exps",
          "gate_proj", "ffn_gate_exps",
          "up_proj", "ffn_up_exps",
          "down_proj", "ffn_down_exps");

  private static final Map<String, String> REST =
      Map.of(
          "model.embed_tokens", "token_embd",
          "transformer.wte", "token_embd",
          "transformer.wpe", "position_embd",
          "model.norm", "output_norm",
          "transformer.ln_f", "output_norm",
          "lm_head", "output");

  private static final Map<String, String> ARCHITECTURES =
      Map.of(
          "mistral", "llama",
          "mixtral", "llama",
          "gemma3_text", "gemma3",
          "qwen3_moe", "qwen3moe");

  /** A matrix or vector in float32, slowest dimension first. */
  static final class Floats {
    private final List<Long> shape;
    private final float[] elements;

    Floats(List<Long> shape, float[] elements) {
      this.shape = List.copyOf(shape);
      this.elements = elements;
    }

    List<Long> shape() {
      return shape;
    }

    float[] elements() {
      return elements;
    }
  }

  /** How a tensor is stored, and its bytes. */
  static final class Encoded {
    private final StoredType type;
    private final byte[] bytes;

    Encoded(StoredType type, byte[] bytes) {
      this.type = type;
      this.bytes = bytes;
    }

    StoredType type() {
      return type;
    }

    byte[] bytes() {
      return bytes;
    }
  }

  /** Decides how a tensor is stored. */
  interface Encoding {
    Encoded encode(String name, Floats tensor);
  }

  private final Path directory;
  private final JsonNode config;
  private final String family;
  private final String architecture;

  private GgufConversion(Path directory) throws IOException {
    this.directory = directory;
    this.config = JSON.readTree(directory.resolve("config.json").toFile());
    this.family = config.path("model_type").asText();
    this.architecture = ARCHITECTURES.getOrDefault(family, family);
  }

  /** Stores matrices in this type, all else in F32. */
  static Encoding matricesIn(ElementType type) {
    return (name, tensor) -> {
      boolean matrix = tensor.shape().size() > 1 && !name.endsWith("_inp.weight");
      return floats(matrix ? type : ElementType.F32, tensor.elements());
    };
  }

  static Encoded floats(ElementType type, float[] elements) {
    byte[] bytes = new byte[elements.length * type.bytes()];
    MemorySegment memory = MemorySegment.ofArray(bytes);
    for (int i = 0; i < elements.length; i++) {
      type.write(memory, (long) i * type.bytes(), elements[i]);
    }
    return new Encoded(StoredType.of(type), bytes);
  }

  /** Writes a model. */
  static void model(Path directory, Path file, Encoding encoding) throws IOException {
    GgufWriter writer = new GgufWriter();
    GgufConversion conversion = new GgufConversion(directory);
    conversion.metadata(writer);
    conversion.tokenizer(writer);
    conversion.tensors(writer, encoding);
    writer.write(file);
  }

  private int number(String key, String ofGpt2) {
    return config.path(config.has(key) ? key : ofGpt2).asInt();
  }

  private void metadata(GgufWriter writer) {
    String a = architecture + ".";
    int heads = number("num_attention_heads", "n_head");
    int hidden = number("hidden_size", "n_embd");
    int headDim = config.path("head_dim").asInt(hidden / heads);
    writer.text("general.architecture", architecture);
    writer.text("general.name", "random " + family);
    writer.number(a + "block_count", number("num_hidden_layers", "n_layer"));
    writer.number(a + "context_length", number("max_position_embeddings", "n_positions"));
    writer.number(a + "embedding_length", hidden);
    int inner = number("intermediate_size", "n_inner");
    writer.number(a + "feed_forward_length", inner == 0 ? 4 * hidden : inner);
    writer.number(a + "attention.head_count", heads);
    writer.number(a + "attention.head_count_kv", config.path("num_key_value_heads").asInt(heads));
    if (headDim != hidden / heads || family.startsWith("gemma")) {
      writer.number(a + "attention.key_length", headDim);
      writer.number(a + "attention.value_length", headDim);
    }
    for (String key : List.of("rms_norm_eps", "norm_epsilon", "layer_norm_epsilon")) {
      if (config.has(key)) {
        boolean rms = key.startsWith("rms");
        writer.decimal(
            a + "attention.layer_norm_" + (rms ? "rms_" : "") + "epsilon",
            config.path(key).floatValue());
      }
    }
    JsonNode rope = config.path("rope_parameters");
    JsonNode full = rope.has("full_attention") ? rope.path("full_attention") : rope;
    JsonNode theta = full.has("rope_theta") ? full.path("rope_theta") : config.path("rope_theta");
    if (!family.equals("gpt2")) {
      writer.decimal(a + "rope.freq_base", theta.floatValue());
      if (!family.startsWith("gemma")) {
        writer.number(a + "rope.dimension_count", headDim);
      }
    }
    if (config.path("sliding_window").isNumber()) {
      writer.number(a + "attention.sliding_window", config.path("sliding_window").asInt());
    }
    switch (family) {
      case "gemma2" -> {
        decimal(writer, "attn_logit_softcapping", "attn_logit_softcapping");
        decimal(writer, "final_logit_softcapping", "final_logit_softcapping");
      }
      case "granite" -> {
        decimal(writer, "attention_multiplier", "attention.scale");
        decimal(writer, "embedding_multiplier", "embedding_scale");
        decimal(writer, "residual_multiplier", "residual_scale");
        decimal(writer, "logits_scaling", "logit_scale");
      }
      case "mixtral", "qwen3_moe" -> {
        writer.number(a + "expert_count", config.path("num_local_experts").asInt());
        writer.number(a + "expert_used_count", config.path("num_experts_per_tok").asInt());
        if (config.has("moe_intermediate_size")) {
          writer.number(
              a + "expert_feed_forward_length", config.path("moe_intermediate_size").asInt());
        }
      }
      default -> {}
    }
  }

  private void decimal(GgufWriter writer, String from, String to) {
    writer.decimal(architecture + "." + to, config.path(from).floatValue());
  }

  private void tokenizer(GgufWriter writer) throws IOException {
    JsonNode tokenizer = JSON.readTree(directory.resolve("tokenizer.json").toFile());
    JsonNode named = JSON.readTree(directory.resolve("tokenizer_config.json").toFile());
    Map<Integer, String> byId = new TreeMap<>();
    tokenizer
        .at("/model/vocab")
        .properties()
        .forEach(token -> byId.put(token.getValue().asInt(), token.getKey()));
    Map<Integer, Integer> types = new HashMap<>();
    for (JsonNode token : tokenizer.path("added_tokens")) {
      byId.put(token.path("id").asInt(), token.path("content").asText());
      types.put(token.path("id").asInt(), token.path("special").asBoolean() ? 3 : 4);
    }
    List<String> tokens = new ArrayList<>();
    for (int id = 0; id <= Collections.max(byId.keySet()); id++) {
      tokens.add(byId.getOrDefault(id, "[PAD" + id + "]"));
    }
    List<String> merges = new ArrayList<>();
    for (JsonNode merge : tokenizer.at("/model/merges")) {
      merges.add(
          merge.isArray() ? merge.path(0).asText() + " " + merge.path(1).asText() : merge.asText());
    }
    writer.text("tokenizer.ggml.model", "gpt2").text("tokenizer.ggml.pre", "gpt-2");
    writer.texts("tokenizer.ggml.tokens", tokens);
    List<Integer> kinds = new ArrayList<>();
    for (int id = 0; id < tokens.size(); id++) {
      kinds.add(types.getOrDefault(id, byId.containsKey(id) ? 1 : 5));
    }
    writer.numbers("tokenizer.ggml.token_type", kinds);
    writer.texts("tokenizer.ggml.merges", merges);
    for (String name : List.of("bos", "eos")) {
      int id = tokens.indexOf(named.path(name + "_token").asText());
      if (id >= 0) {
        writer.number("tokenizer.ggml." + name + "_token_id", id);
      }
    }
    writer.flag("tokenizer.ggml.add_bos_token", named.path("add_bos_token").asBoolean());
    if (named.path("chat_template").isTextual()) {
      writer.text("tokenizer.chat_template", named.path("chat_template").asText());
    }
  }

  private void tensors(GgufWriter writer, Encoding encoding) {
    Map<String, Floats> all = new TreeMap<>();
    Map<String, TreeMap<Integer, Floats>> experts = new TreeMap<>();
    floatsOf(directory.resolve("model.safetensors"))
        .forEach(
            (name, tensor) -> {
              Matcher layer = LAYER.matcher(name);
              if (!layer.matches()) {
                int dot = name.lastIndexOf('.');
                String module = REST.getOrDefault(name.substring(0, dot), "?" + name);
                all.put(module + name.substring(dot), normed(module, tensor));
                return;
              }
              String prefix = "blk." + layer.group(1) + ".";
              Matcher expert = EXPERT.matcher(layer.group(2));
              if (expert.matches()) {
                experts
                    .computeIfAbsent(
                        prefix + EXPERTS.get(expert.group(3)) + ".weight", k -> new TreeMap<>())
                    .put(Integer.valueOf(expert.group(2)), tensor);
                return;
              }
              String module = module(layer.group(2));
              all.put(prefix + module + "." + layer.group(3), changed(module, tensor));
            });
    experts.forEach((name, each) -> all.put(name, stacked(List.copyOf(each.values()))));
    all.forEach(
        (name, tensor) -> {
          Encoded encoded = encoding.encode(name, tensor);
          writer.tensor(
              name, encoded.type(), tensor.shape(), output -> output.write(encoded.bytes()));
        });
  }

  /** Returns what a tensor of a Llama is called. */
  static String nameOf(String name) {
    Matcher layer = LAYER.matcher(name);
    if (layer.matches()) {
      String module = layer.group(2);
      String stored =
          module.equals("post_attention_layernorm")
              ? "ffn_norm"
              : MODULES.getOrDefault(module, "?");
      return "blk." + layer.group(1) + "." + stored + "." + layer.group(3);
    }
    int dot = name.lastIndexOf('.');
    return REST.getOrDefault(name.substring(0, dot), "?") + name.substring(dot);
  }

  private String module(String name) {
    if (name.equals("post_attention_layernorm")) {
      boolean after = List.of("gemma2", "gemma3_text", "olmo2").contains(family);
      return after ? "post_attention_norm" : "ffn_norm";
    }
    return MODULES.getOrDefault(name, "?" + name);
  }

  private Floats changed(String module, Floats tensor) {
    if (family.equals("gpt2") && tensor.shape().size() == 2) {
      return transposed(tensor);
    }
    if (List.of("llama", "granite", "smollm3").contains(architecture)
        && (module.equals("attn_q") || module.equals("attn_k"))) {
      int heads =
          config
              .path(module.equals("attn_q") ? "num_attention_heads" : "num_key_value_heads")
              .asInt();
      return turned(tensor, heads);
    }
    return normed(module, tensor);
  }

  private Floats normed(String module, Floats tensor) {
    if (!family.startsWith("gemma") || !module.endsWith("norm")) {
      return tensor;
    }
    float[] more = tensor.elements().clone();
    for (int i = 0; i < more.length; i++) {
      more[i] += 1;
    }
    return new Floats(tensor.shape(), more);
  }

  private static Floats transposed(Floats tensor) {
    int rows = tensor.shape().getFirst().intValue();
    int columns = tensor.shape().getLast().intValue();
    float[] other = new float[rows * columns];
    for (int row = 0; row < rows; row++) {
      for (int column = 0; column < columns; column++) {
        other[column * rows + row] = tensor.elements()[row * columns + column];
      }
    }
    return new Floats(List.of((long) columns, (long) rows), other);
  }

  /** {@code [heads, 2, half, columns]} becomes {@code [heads, half, 2, columns]}. */
  static Floats turned(Floats tensor, int heads) {
    int rows = tensor.shape().getFirst().intValue();
    int columns = tensor.elements().length / rows;
    int half = rows / heads / 2;
    float[] other = new float[tensor.elements().length];
    int to = 0;
    for (int head = 0; head < heads; head++) {
      for (int i = 0; i < half; i++) {
        for (int part = 0; part < 2; part++) {
          int row = (head * 2 + part) * half + i;
          System.arraycopy(tensor.elements(), row * columns, other, to, columns);
          to += columns;
        }
      }
    }
    return new Floats(tensor.shape(), other);
  }

  private static Floats stacked(List<Floats> each) {
    List<Long> shape = new ArrayList<>(each.getFirst().shape());
    int elements = each.getFirst().elements().length;
    float[] all = new float[each.size() * elements];
    for (int e = 0; e < each.size(); e++) {
      System.arraycopy(each.get(e).elements(), 0, all, e * elements, elements);
    }
    shape.addFirst((long) each.size());
    return new Floats(shape, all);
  }

  static Map<String, Floats> floatsOf(Path safetensors) {
    Map<String, Floats> all = new TreeMap<>();
    try (Arena arena = Arena.ofConfined()) {
      for (StoredTensor tensor : SafetensorsFile.map(safetensors, arena)) {
        ElementType type = ElementType.valueOf(tensor.type().name());
        float[] elements = new float[Math.toIntExact(tensor.bytes().byteSize() / type.bytes())];
        for (int i = 0; i < elements.length; i++) {
          elements[i] = type.read(tensor.bytes(), (long) i * type.bytes());
        }
        all.put(tensor.name(), new Floats(tensor.shape(), elements));
      }
    }
    return all;
  }

  /** Writes a PEFT adapter on modules that the model has. */
  static void adapter(Path model, Path adapter, Path file) throws IOException {
    GgufConversion conversion = new GgufConversion(model);
    JsonNode peft = JSON.readTree(adapter.resolve("adapter_config.json").toFile());
    GgufWriter writer = new GgufWriter();
    writer.text("general.type", "adapter").text("adapter.type", "lora");
    writer.text("general.architecture", conversion.architecture);
    writer.decimal("adapter.lora.alpha", peft.path("lora_alpha").floatValue());
    String prefix = "base_model.model.";
    floatsOf(adapter.resolve("adapter_model.safetensors"))
        .forEach(
            (name, tensor) -> {
              boolean first = name.endsWith(".lora_A.weight");
              String module = name.substring(prefix.length(), name.length() - 14);
              Matcher layer = LAYER.matcher(module + ".weight");
              if (!layer.matches()) {
                throw new IllegalArgumentException(name);
              }
              String ours = conversion.module(layer.group(2));
              Floats stored = first ? tensor : conversion.turnedIfSo(ours, tensor);
              Encoded encoded = floats(ElementType.F32, stored.elements());
              writer.tensor(
                  "blk." + layer.group(1) + "." + ours + ".weight.lora_" + (first ? "a" : "b"),
                  encoded.type(),
                  stored.shape(),
                  output -> output.write(encoded.bytes()));
            });
    writer.write(file);
  }

  private Floats turnedIfSo(String module, Floats b) {
    return family.equals("gpt2") ? b : changed(module, b);
  }

  /** Copies the files of a directory. */
  static void copy(Path from, Path to) throws IOException {
    Files.createDirectories(to);
    try (var files = Files.list(from)) {
      for (Path file : files.filter(Files::isRegularFile).toList()) {
        Files.copy(file, to.resolve(file.getFileName()));
      }
    }
  }
}
