package dev.lorikeet.files.model;

import com.fasterxml.jackson.databind.JsonNode;
import dev.lorikeet.LorikeetException;
import dev.lorikeet.files.Faults;
import dev.lorikeet.files.JsonFile;
import dev.lorikeet.shape.ModelInfo;
import dev.lorikeet.shape.ModelShape;
import java.nio.file.Path;
import java.util.LinkedHashSet;
import java.util.OptionalInt;
import java.util.Set;

/**
 * The configuration of a base model, from {@code config.json} and {@code generation_config.json} of
 * its directory. Absent keys mean what they mean to transformers 5; where its default is a size,
 * the key must be there instead.
 *
 * @param family the architecture
 * @param shape the sizes
 * @param rmsNormEps the epsilon of every RMSNorm
 * @param ropeTheta the base of the rotary frequencies
 * @param ropeScaling how the rotary frequencies are stretched
 * @param qkvBias whether q, k and v have biases
 * @param outputBias whether o has a bias
 * @param mlpBias whether gate, up and down have biases
 * @param tiedEmbeddings whether the embedding is the output matrix too
 * @param maxPositions how long a sequence can be
 * @param slidingWindow how many positions, itself the last, a token sees, where that is fewer than
 *     {@code maxPositions}
 * @param bosToken the token that begins a sequence
 * @param eosTokens the tokens that end a generation, of both files; may be empty
 */
public record Architecture(
    ModelFamily family,
    ModelShape shape,
    double rmsNormEps,
    double ropeTheta,
    RopeScaling ropeScaling,
    boolean qkvBias,
    boolean outputBias,
    boolean mlpBias,
    boolean tiedEmbeddings,
    int maxPositions,
    OptionalInt slidingWindow,
    OptionalInt bosToken,
    Set<Integer> eosTokens) {

  /** The name of the configuration in a model directory. */
  public static final String FILE = "config.json";

  private static final String GENERATION_FILE = "generation_config.json";
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

  public Architecture {
    eosTokens = Set.copyOf(eosTokens);
  }

  /**
   * Reads the configuration of a model directory.
   *
   * @throws LorikeetException with {@code MODEL_INVALID} for files that are missing or damaged,
   *     {@code MODEL_UNSUPPORTED} for models that the decoder does not compute
   */
  public static Architecture read(Path directory) {
    JsonFile json = JsonFile.read(directory.resolve(FILE), MAX_FILE_BYTES);
    ModelFamily family = family(json);
    refuseUnsupported(json, family);
    ModelShape shape = shape(json, family);
    int maxPositions = json.integer("max_position_embeddings", 1, MAX_POSITIONS);
    Set<Integer> eosTokens = new LinkedHashSet<>();
    addEosTokens(eosTokens, json, shape.vocabulary());
    JsonFile.readIfPresent(directory.resolve(GENERATION_FILE), MAX_FILE_BYTES)
        .ifPresent(generation -> addEosTokens(eosTokens, generation, shape.vocabulary()));
    boolean attentionBias = family == ModelFamily.LLAMA && json.bool("attention_bias", false);
    RopeParameters rope = RopeParameters.read(json, maxPositions, MAX_POSITIONS);
    return new Architecture(
        family,
        shape,
        json.optionalNumber("rms_norm_eps", Double.MIN_NORMAL, 0.1).orElse(1e-6),
        rope.theta(),
        rope.scaling(),
        attentionBias || family == ModelFamily.QWEN2,
        attentionBias,
        family == ModelFamily.LLAMA && json.bool("mlp_bias", false),
        json.bool("tie_word_embeddings", false),
        maxPositions,
        slidingWindow(json, family, maxPositions),
        json.optionalInteger("bos_token_id", 0, shape.vocabulary() - 1),
        eosTokens);
  }

  /**
   * Returns what is known of the model without its weights. A sequence ends where a sliding window
   * would begin to forget, so that attention over all positions is exact.
   *
   * @param weightType how the weights are stored
   */
  public ModelInfo info(Path directory, String weightType) {
    return ModelInfo.builder(directory, family.modelType(), shape)
        .weightType(weightType)
        .maxPositions(Math.min(maxPositions, slidingWindow.orElse(Integer.MAX_VALUE)))
        .eosTokens(eosTokens)
        .build();
  }

  private static ModelFamily family(JsonFile json) {
    String expected = "one of " + ModelFamily.supported();
    String found = json.text("model_type").orElseThrow(() -> json.missing("model_type", expected));
    return ModelFamily.of(found)
        .orElseThrow(() -> json.unsupported("model_type", "'" + found + "'", expected));
  }

  private static void refuseUnsupported(JsonFile json, ModelFamily family) {
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
    if (family == ModelFamily.QWEN2 && json.bool("use_sliding_window", false)) {
      throw json.unsupported("use_sliding_window", "true", "false for qwen2");
    }
    for (JsonNode layer : json.root().path("layer_types")) {
      if (!layer.asText().equals("full_attention")) {
        throw json.unsupported("layer_types", layer.toString(), "'full_attention' for every layer");
      }
    }
  }

  private static ModelShape shape(JsonFile json, ModelFamily family) {
    int hidden = json.integer("hidden_size", 1, MAX_HIDDEN);
    int heads = json.integer("num_attention_heads", 1, MAX_HEADS);
    // transformers guesses 8 or 32 for the other families where the key is absent, which is right
    // for hardly any model
    int kvHeads =
        family == ModelFamily.LLAMA || json.root().has("num_key_value_heads")
            ? json.optionalInteger("num_key_value_heads", 1, heads).orElse(heads)
            : json.integer("num_key_value_heads", 1, heads);
    if (heads % kvHeads != 0) {
      String expected = "a divisor of the " + heads + " num_attention_heads";
      throw Faults.invalid(json.where("num_key_value_heads"), expected, kvHeads);
    }
    OptionalInt explicit = json.optionalInteger("head_dim", 1, MAX_HEAD_DIM);
    if (explicit.isEmpty() && hidden % heads != 0) {
      String expected = "a multiple of the " + heads + " num_attention_heads, or a head_dim";
      throw Faults.invalid(json.where("hidden_size"), expected, hidden);
    }
    int headDim = explicit.orElse(hidden / heads);
    if (headDim % 2 != 0) {
      throw Faults.invalid(json.where("head_dim"), "an even number", headDim);
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

  private static OptionalInt slidingWindow(JsonFile json, ModelFamily family, int maxPositions) {
    if (family != ModelFamily.MISTRAL) {
      return OptionalInt.empty();
    }
    OptionalInt window = json.optionalInteger("sliding_window", 1, Integer.MAX_VALUE);
    if (window.isEmpty() && !json.root().has("sliding_window")) {
      window =
          OptionalInt.of(
              4096); // an absent key is not null: transformers then takes Mistral 7B v0.1's window
    }
    return window.isPresent() && window.getAsInt() < maxPositions ? window : OptionalInt.empty();
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
