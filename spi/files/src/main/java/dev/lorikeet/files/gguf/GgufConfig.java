package dev.lorikeet.files.gguf;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lorikeet.LorikeetException;
import dev.lorikeet.files.Faults;
import dev.lorikeet.files.JsonFile;
import dev.lorikeet.files.model.ConfigFile;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;

/**
 * Turns the metadata of a model into the configuration that Hugging Face has for it, from which the
 * families read their architecture.
 */
final class GgufConfig {
  /** Architectures, and what Hugging Face calls the family. */
  private static final Map<String, String> FAMILIES =
      Map.ofEntries(
          Map.entry("gemma", "gemma"),
          Map.entry("gemma2", "gemma2"),
          Map.entry("gemma3", "gemma3_text"),
          Map.entry("gpt2", "gpt2"),
          Map.entry("granite", "granite"),
          Map.entry("llama", "llama"),
          Map.entry("olmo2", "olmo2"),
          Map.entry("phi3", "phi3"),
          Map.entry("qwen2", "qwen2"),
          Map.entry("qwen3", "qwen3"),
          Map.entry("qwen3moe", "qwen3_moe"),
          Map.entry("smollm3", "smollm3"),
          Map.entry("starcoder2", "starcoder2"));

  /** Architectures that turn neighbours of a head; Hugging Face turns halves of it. */
  private static final Set<String> NEIGHBOURS = Set.of("llama", "granite", "smollm3");

  /** What changes results and is read for some architectures alone; absent or neutral elsewhere. */
  private static final List<String> FACTORS =
      List.of("attention.scale", "embedding_scale", "residual_scale", "logit_scale");

  private static final List<String> FEATURES =
      List.of(
          "attention.clamp_kqv",
          "attention.max_alibi_bias",
          "attention.temperature_scale",
          "expert_shared_count",
          "expert_shared_feed_forward_length",
          "leading_dense_block_count");

  private static final int MOST = Integer.MAX_VALUE;
  private static final double LEAST = 1e-9;
  private static final double LARGEST = 1e15;

  private final GgufHeader header;
  private final GgufMetadata metadata;
  private final String architecture;
  private final ObjectNode json = JsonNodeFactory.instance.objectNode();

  private GgufConfig(GgufHeader header) {
    this.header = header;
    this.metadata = header.metadata();
    this.architecture = architecture(header);
  }

  /** Returns whether q and k of an architecture have the rows of a head in another order. */
  static boolean turnsNeighbours(String architecture) {
    return NEIGHBOURS.contains(architecture);
  }

  /** Returns the architecture of a file that must hold a model. */
  static String architecture(GgufHeader header) {
    GgufMetadata metadata = header.metadata();
    String type = metadata.text("general.type").orElse("model");
    if (!type.equals("model")) {
      throw metadata.unsupported(
          "general.type",
          "a model",
          type.equals("adapter")
              ? "an adapter: name the base model, and this file as an adapter of it"
              : "'" + Faults.show(type) + "'");
    }
    String key = "general.architecture";
    String expected = "one of " + String.join(", ", new TreeSet<>(FAMILIES.keySet()));
    String found = metadata.text(key).orElseThrow(() -> metadata.missing(key, expected));
    if (!FAMILIES.containsKey(found)) {
      throw metadata.unsupported(key, expected, "'" + Faults.show(found) + "'");
    }
    if (metadata.integer("split.count", 0, MOST).orElse(1) > 1) {
      throw metadata.unsupported(
          "split.count",
          "a model in one file (llama-gguf-split --merge joins the parts)",
          "a part of one");
    }
    return found;
  }

  static ConfigFile of(GgufHeader header) {
    return new GgufConfig(header).translate();
  }

  private ConfigFile translate() {
    boolean experts = integer("expert_count", 0, 0) > 0;
    boolean window = integer("attention.sliding_window", 0, 0) > 0;
    String family = FAMILIES.getOrDefault(architecture, "");
    if (family.equals("llama") && experts) {
      family = "mixtral";
    } else if (family.equals("llama") && window) {
      family = "mistral";
    } else if (experts != family.equals("qwen3_moe")) {
      throw unsupported("expert_count", experts ? "none" : "some", experts ? "some" : "none");
    }
    json.put("model_type", family);
    if (family.equals("gpt2")) {
      sizes("n_embd", "n_layer", "n_head", "n_inner", "n_positions");
    } else {
      sizes(
          "hidden_size",
          "num_hidden_layers",
          "num_attention_heads",
          "intermediate_size",
          "max_position_embeddings");
    }
    epsilon(family);
    if (!family.equals("gpt2")) {
      rotary(family);
    }
    refuseOthers(family);
    ofFamily(family, window);
    tokens();
    json.put("tie_word_embeddings", !header.tensors().containsKey("output.weight"));
    return ConfigFile.of(
        header.file(), JsonFile.of(Faults.MODEL, header.file() + ": as config.json", json));
  }

  private void sizes(String hidden, String layers, String heads, String inner, String positions) {
    int width = required("embedding_length");
    int queryHeads = common("attention.head_count");
    json.put(hidden, width);
    json.put(layers, required("block_count"));
    json.put(heads, queryHeads);
    json.put(
        "num_key_value_heads",
        metadata.has(key("attention.head_count_kv"))
            ? common("attention.head_count_kv")
            : queryHeads);
    json.put(inner, common("feed_forward_length"));
    json.put(positions, required("context_length"));
    int headDim = integer("attention.key_length", 1, width / queryHeads);
    json.put("head_dim", headDim);
    int valueDim = integer("attention.value_length", 1, headDim);
    if (valueDim != headDim) {
      throw unsupported(
          "attention.value_length", "attention.key_length, " + headDim, String.valueOf(valueDim));
    }
    json.put("vocab_size", vocabulary());
  }

  private int vocabulary() {
    String name = "token_embd.weight";
    GgufHeader.Tensor embedding = header.tensors().get(name);
    if (embedding == null) {
      throw Faults.MODEL.invalid(header.file(), "a tensor " + name, "nothing");
    }
    long rows = embedding.shape().getFirst();
    if (embedding.shape().size() != 2 || rows < 1 || rows > MOST) {
      throw Faults.MODEL.invalid(header.where(name) + ": dimensions", "two", embedding.shape());
    }
    return (int) rows;
  }

  private void epsilon(String family) {
    boolean layerNorm = family.equals("gpt2") || family.equals("starcoder2");
    String from = layerNorm ? "attention.layer_norm_epsilon" : "attention.layer_norm_rms_epsilon";
    String to =
        family.equals("gpt2")
            ? "layer_norm_epsilon"
            : family.equals("starcoder2") ? "norm_epsilon" : "rms_norm_eps";
    json.put(
        to,
        metadata
            .number(key(from), 0, 0.1)
            .orElseThrow(() -> metadata.missing(key(from), "a number")));
  }

  private void rotary(String family) {
    int headDim = json.path("head_dim").intValue();
    int rotated = integer("rope.dimension_count", 1, headDim);
    if (rotated > headDim) {
      throw metadata.wrong(
          key("rope.dimension_count"), "at most the width of a head, " + headDim, "" + rotated);
    }
    ObjectNode rope = new GgufRope(header, architecture, json, rotated).read();
    rope.put("rope_theta", number("rope.freq_base", 1.0001, LARGEST, theta(family)));
    if (rotated < headDim) {
      // above the quotient, so that its product with the width is not rounded to less
      rope.put("partial_rotary_factor", Math.nextUp((double) rotated / headDim));
    }
    if (family.equals("gemma3_text")) {
      ObjectNode local = JsonNodeFactory.instance.objectNode().put("rope_type", "default");
      local.put("rope_theta", number("rope.freq_base_swa", 1.0001, LARGEST, 10_000));
      ObjectNode types = json.putObject("rope_parameters");
      types.set("full_attention", rope);
      types.set("sliding_attention", local);
    } else {
      json.set("rope_parameters", rope);
    }
  }

  private static double theta(String family) {
    return family.equals("gemma3_text") ? 1_000_000 : 10_000;
  }

  private void refuseOthers(String family) {
    if (!metadata.bool(key("attention.causal")).orElse(true)) {
      throw unsupported("attention.causal", "true", "false");
    }
    for (String factor : FACTORS) {
      double value = number(factor, -LARGEST, LARGEST, 1);
      if (!family.equals("granite") && value != 1 && value != 0) {
        throw unsupported(factor, "nothing", String.valueOf(value));
      }
    }
    for (String feature : FEATURES) {
      boolean whole = feature.startsWith("expert") || feature.startsWith("leading");
      double value = whole ? integer(feature, 0, 0) : number(feature, -LARGEST, LARGEST, 0);
      if (value != 0) {
        throw unsupported(feature, "nothing", String.valueOf(value));
      }
    }
  }

  private void ofFamily(String family, boolean window) {
    switch (family) {
      case "llama", "granite", "smollm3", "olmo2" -> {
        json.put("attention_bias", has("blk.0.attn_q.bias"));
        json.put("mlp_bias", has("blk.0.ffn_up.bias"));
      }
      case "gemma2" -> {
        json.put("attn_logit_softcapping", number("attn_logit_softcapping", LEAST, LARGEST, 50));
        json.put("final_logit_softcapping", number("final_logit_softcapping", LEAST, LARGEST, 30));
        queryScale(46);
      }
      case "gemma3_text" -> {
        queryScale(62);
      }
      case "starcoder2" -> json.put("use_bias", has("blk.0.attn_q.bias"));
      case "mixtral" -> experts("num_local_experts");
      case "qwen3_moe" -> {
        experts("num_experts");
        json.put("norm_topk_prob", true);
        json.put("moe_intermediate_size", required("expert_feed_forward_length"));
      }
      default -> {}
    }
    if (family.equals("granite")) {
      json.put("attention_multiplier", number("attention.scale", LEAST, LARGEST, headScale()));
      json.put("embedding_multiplier", number("embedding_scale", LEAST, LARGEST, 1));
      json.put("residual_multiplier", number("residual_scale", LEAST, LARGEST, 1));
      json.put("logits_scaling", number("logit_scale", LEAST, LARGEST, 1));
    }
    if (window) {
      json.put("sliding_window", required("attention.sliding_window"));
    } else if (!family.equals("gemma2")) {
      json.putNull("sliding_window");
    }
  }

  private double headScale() {
    return 1 / Math.sqrt(json.path("head_dim").intValue());
  }

  /** The number is not in the files: the largest model alone takes it from the width. */
  private void queryScale(int layersOfLargest) {
    boolean largest = json.path("num_hidden_layers").intValue() == layersOfLargest;
    int perHead = json.path("hidden_size").intValue() / json.path("num_attention_heads").intValue();
    json.put("query_pre_attn_scalar", largest ? perHead : json.path("head_dim").intValue());
  }

  private void experts(String count) {
    json.put(count, required("expert_count"));
    json.put("num_experts_per_tok", required("expert_used_count"));
  }

  private void tokens() {
    metadata
        .integer("tokenizer.ggml.bos_token_id", -1, MOST)
        .ifPresent(id -> json.put("bos_token_id", id));
    ArrayNode ends = json.putArray("eos_token_id");
    GgufEndTokens.of(metadata).forEach(ends::add);
  }

  private boolean has(String tensor) {
    return header.tensors().containsKey(tensor);
  }

  private String key(String name) {
    return architecture + "." + name;
  }

  private int required(String name) {
    String expected = "a whole number from 1 on";
    return metadata
        .integer(key(name), 1, MOST)
        .orElseThrow(() -> metadata.missing(key(name), expected));
  }

  private int integer(String name, int least, int whenAbsent) {
    return metadata.integer(key(name), least, MOST).orElse(whenAbsent);
  }

  private double number(String name, double least, double most, double whenAbsent) {
    return metadata.number(key(name), least, most).orElse(whenAbsent);
  }

  /** Returns a number that some files have once and some for each layer, where all are equal. */
  private int common(String name) {
    if (!metadata.isList(key(name))) {
      return required(name);
    }
    List<Integer> each = metadata.integers(key(name), 0, MOST).orElseThrow();
    if (each.isEmpty() || each.stream().anyMatch(n -> !n.equals(each.getFirst()) || n < 1)) {
      throw unsupported(name, "one number for all layers", "several");
    }
    return each.getFirst();
  }

  private LorikeetException unsupported(String name, String expected, String found) {
    return metadata.unsupported(key(name), expected, found);
  }
}
