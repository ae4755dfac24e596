package dev.lorikeet.files.model;

import com.fasterxml.jackson.databind.JsonNode;
import dev.lorikeet.files.Faults;
import dev.lorikeet.files.JsonFile;
import dev.lorikeet.shape.ModelShape;
import java.nio.file.Path;
import java.util.LinkedHashSet;
import java.util.OptionalInt;
import java.util.Set;

/**
 * The {@code config.json} of a model directory, and what families have in common in reading it. The
 * tokens that end a generation are those of {@code generation_config.json} as well.
 */
public final class ConfigFile {
  /** The name of the configuration in a model directory. */
  public static final String NAME = "config.json";

  private static final String GENERATION = "generation_config.json";
  private static final long MAX_FILE_BYTES = 16L << 20;

  // Bounds far above every published model; what lies beyond is damage or malice, not a model.
  private static final int MAX_LAYERS = 1 << 10;
  private static final int MAX_HIDDEN = 1 << 17;
  private static final int MAX_INTERMEDIATE = 1 << 19;
  private static final int MAX_HEADS = 1 << 12;
  private static final int MAX_HEAD_DIM = 1 << 12;
  private static final int MAX_VOCABULARY = 1 << 22;
  private static final int MAX_POSITIONS = 1 << 24;
  private static final int MAX_EOS_TOKENS = 1 << 10;

  private final Path directory;
  private final JsonFile json;

  private ConfigFile(Path directory, JsonFile json) {
    this.directory = directory;
    this.json = json;
  }

  /**
   * Reads the configuration of a model directory.
   *
   * @throws dev.lorikeet.LorikeetException with {@code MODEL_INVALID} if it is missing or damaged
   */
  public static ConfigFile read(Path directory) {
    return new ConfigFile(directory, JsonFile.read(directory.resolve(NAME), MAX_FILE_BYTES));
  }

  /** Returns the keys. */
  public JsonFile json() {
    return json;
  }

  /** Returns the number of query heads. */
  public int heads() {
    return json.integer("num_attention_heads", 1, MAX_HEADS);
  }

  /** Returns the number of key and value heads, if the configuration says it. */
  public OptionalInt kvHeads() {
    return json.optionalInteger("num_key_value_heads", 1, heads());
  }

  /**
   * Returns the number of key and value heads, which must be there unless it is null: transformers
   * guesses 8 or 32 for most families where the key is absent, which is right for hardly any model.
   */
  public int kvHeadsThatMustBeThere() {
    return json.root().has("num_key_value_heads")
        ? kvHeads().orElse(heads())
        : json.integer("num_key_value_heads", 1, heads());
  }

  /** Returns the sliding window, if the configuration says it. */
  public OptionalInt slidingWindow() {
    return json.optionalInteger("sliding_window", 1, Integer.MAX_VALUE);
  }

  /** Refuses a configuration that switches something on which a decoder does not compute. */
  public void refuseIfTrue(String key) {
    if (json.bool(key, false)) {
      throw json.unsupported(key, "true", "false");
    }
  }

  /**
   * Begins the architecture of a decoder with RMSNorm, rotary embeddings over whole heads, full
   * attention, and a gated MLP with SiLU: refuses what departs from that, and reads sizes, rotary
   * frequencies and tokens.
   */
  public Architecture.Builder decoder(ModelFamily family, int kvHeads) {
    refuseUnsupported();
    ModelShape shape = shape(kvHeads);
    int maxPositions = json.integer("max_position_embeddings", 1, MAX_POSITIONS);
    Set<Integer> eosTokens = new LinkedHashSet<>();
    addEosTokens(eosTokens, json, shape.vocabulary());
    JsonFile.readIfPresent(directory.resolve(GENERATION), MAX_FILE_BYTES)
        .ifPresent(generation -> addEosTokens(eosTokens, generation, shape.vocabulary()));
    return new Architecture.Builder(
            family.modelType(),
            shape,
            json.optionalNumber("rms_norm_eps", Double.MIN_NORMAL, 0.1).orElse(1e-6),
            Rope.read(json, maxPositions, MAX_POSITIONS),
            maxPositions)
        .tiedEmbeddings(json.bool("tie_word_embeddings", false))
        .tokens(json.optionalInteger("bos_token_id", 0, shape.vocabulary() - 1), eosTokens);
  }

  private void refuseUnsupported() {
    String activation = json.text("hidden_act").orElse("silu");
    if (!activation.equals("silu") && !activation.equals("swish")) {
      throw json.unsupported("hidden_act", "'" + activation + "'", "'silu'");
    }
    if (json.has("quantization_config")) {
      throw json.unsupported(
          "quantization_config",
          json.root().get("quantization_config").path("quant_method").toString(),
          "weights in F32, F16, BF16 or Jlama's Q4");
    }
    double rotary = json.optionalNumber("partial_rotary_factor", 0, 1).orElse(1);
    if (rotary != 1) {
      throw json.unsupported("partial_rotary_factor", rotary, "1");
    }
    for (JsonNode layer : json.root().path("layer_types")) {
      if (!layer.asText().equals("full_attention")) {
        throw json.unsupported("layer_types", layer.toString(), "'full_attention' for every layer");
      }
    }
  }

  private ModelShape shape(int kvHeads) {
    int hidden = json.integer("hidden_size", 1, MAX_HIDDEN);
    int heads = heads();
    if (heads % kvHeads != 0) {
      String expected = "a divisor of the " + heads + " num_attention_heads";
      throw Faults.MODEL.invalid(json.where("num_key_value_heads"), expected, kvHeads);
    }
    OptionalInt explicit = json.optionalInteger("head_dim", 1, MAX_HEAD_DIM);
    if (explicit.isEmpty() && hidden % heads != 0) {
      String expected = "a multiple of the " + heads + " num_attention_heads, or a head_dim";
      throw Faults.MODEL.invalid(json.where("hidden_size"), expected, hidden);
    }
    int headDim = explicit.orElse(hidden / heads);
    if (headDim % 2 != 0) {
      throw Faults.MODEL.invalid(json.where("head_dim"), "an even number", headDim);
    }
    return ModelShape.builder()
        .layers(json.integer("num_hidden_layers", 1, MAX_LAYERS))
        .hidden(hidden)
        .intermediate(json.integer("intermediate_size", 1, MAX_INTERMEDIATE))
        .heads(heads)
        .kvHeads(kvHeads)
        .headDim(headDim)
        .vocabulary(json.integer("vocab_size", 1, MAX_VOCABULARY))
        .build();
  }

  private static void addEosTokens(Set<Integer> tokens, JsonFile json, int vocabulary) {
    String key = "eos_token_id";
    json.node(key)
        .ifPresent(
            value -> {
              if (!value.isArray()) {
                tokens.add(json.integer(key, value, 0, vocabulary - 1));
              } else if (value.size() > MAX_EOS_TOKENS) {
                throw json.wrong(key, value, "at most " + MAX_EOS_TOKENS + " tokens");
              } else {
                value.forEach(id -> tokens.add(json.integer(key, id, 0, vocabulary - 1)));
              }
            });
  }
}
