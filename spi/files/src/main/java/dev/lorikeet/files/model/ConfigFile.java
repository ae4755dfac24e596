package dev.lorikeet.files.model;

import static dev.lorikeet.shape.Projection.DOWN;
import static dev.lorikeet.shape.Projection.GATE;
import static dev.lorikeet.shape.Projection.K;
import static dev.lorikeet.shape.Projection.O;
import static dev.lorikeet.shape.Projection.Q;
import static dev.lorikeet.shape.Projection.UP;
import static dev.lorikeet.shape.Projection.V;

import com.fasterxml.jackson.databind.JsonNode;
import dev.lorikeet.files.Faults;
import dev.lorikeet.files.JsonFile;
import dev.lorikeet.shape.ModelShape;
import dev.lorikeet.shape.Projection;
import java.lang.System.Logger.Level;
import java.nio.file.Path;
import java.util.BitSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Set;
import java.util.function.IntPredicate;
import java.util.function.Supplier;

/**
 * The {@code config.json} of a model directory, and what families have in common in reading it. The
 * tokens that end a generation are those of {@code generation_config.json} as well.
 */
public final class ConfigFile {
  /** The name of the configuration in a model directory. */
  public static final String NAME = "config.json";

  private static final System.Logger LOG = System.getLogger(ConfigFile.class.getName());
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

  private static final String FULL = "full_attention";
  private static final String SLIDING = "sliding_attention";

  private final Path directory;
  private final JsonFile json;
  private final Optional<JsonFile> outer;

  private ConfigFile(Path directory, JsonFile json, Optional<JsonFile> outer) {
    this.directory = directory;
    this.json = json;
    this.outer = outer;
  }

  /**
   * Reads the configuration of a model directory.
   *
   * @throws dev.lorikeet.LorikeetException with {@code MODEL_INVALID} if it is missing or damaged
   */
  public static ConfigFile read(Path directory) {
    OtherThanModel.refuse(directory);
    JsonFile json = JsonFile.read(directory.resolve(NAME), MAX_FILE_BYTES);
    return new ConfigFile(directory, json, Optional.empty());
  }

  /**
   * Returns a configuration that came from elsewhere, such as another format.
   *
   * @param path what it came from
   */
  public static ConfigFile of(Path path, JsonFile json) {
    return new ConfigFile(path, json, Optional.empty());
  }

  /** Returns the configuration of the language model within a multimodal one, if there is one. */
  public Optional<ConfigFile> text() {
    return json.object("text_config")
        .map(text -> new ConfigFile(directory, text, Optional.of(json)));
  }

  /** Returns the keys. */
  public JsonFile json() {
    return json;
  }

  /** Returns the number of query heads. */
  public int heads() {
    return heads(Conventions.Keys.LLAMA);
  }

  /** Returns the number of query heads under a family's key. */
  public int heads(Conventions.Keys keys) {
    return json.integer(keys.heads(), 1, MAX_HEADS);
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

  /**
   * Returns the sliding window of a family that has one only if {@code use_sliding_window} says so.
   */
  public OptionalInt slidingWindowIfUsed() {
    return json.bool("use_sliding_window", false) ? slidingWindow() : OptionalInt.empty();
  }

  /**
   * Returns which layers see through the sliding window.
   *
   * @param whenAbsent which do if the configuration does not tell
   */
  public IntPredicate slidingLayers(IntPredicate whenAbsent) {
    Optional<JsonNode> types = json.node("layer_types");
    if (types.isEmpty()) {
      return whenAbsent;
    }
    int layers = json.integer(Conventions.Keys.LLAMA.layers(), 1, MAX_LAYERS);
    if (!types.get().isArray() || types.get().size() != layers) {
      throw json.wrong("layer_types", types.get(), "a type for each of the " + layers + " layers");
    }
    BitSet sliding = new BitSet(layers);
    for (int layer = 0; layer < layers; layer++) {
      String type = types.get().get(layer).asText();
      switch (type) {
        case SLIDING -> sliding.set(layer);
        case FULL -> {}
        default ->
            throw json.unsupported(
                "layer_types", "'" + type + "'", "'" + FULL + "' or '" + SLIDING + "'");
      }
    }
    return sliding::get;
  }

  /**
   * Returns how layers of a type rotate: by a set of parameters for each type, or, where there is
   * one for all, by that.
   *
   * @param sliding which type
   * @param headDim the width of a head
   * @param whenAbsent what to take where there is no set for the type
   */
  public Rope ropeOfType(
      boolean sliding, int headDim, int maxPositions, Supplier<Rope> whenAbsent) {
    Rope rope =
        json.object("rope_parameters")
            .flatMap(types -> types.object(sliding ? SLIDING : FULL))
            .map(parameters -> Rope.of(json, parameters, maxPositions, MAX_POSITIONS))
            .orElseGet(whenAbsent);
    checkRotary(rope, headDim);
    return rope;
  }

  /** Returns how queries and keys are rotated, where there is one set of parameters for all. */
  public Rope rope(int maxPositions) {
    return Rope.read(json, maxPositions, MAX_POSITIONS);
  }

  /** Returns q, k, v and o where {@code attention_bias} gives them biases, else nothing. */
  public List<Projection> attentionBiases() {
    return json.bool("attention_bias", false) ? List.of(Q, K, V, O) : List.of();
  }

  /** Returns gate, up and down where {@code mlp_bias} gives them biases, else nothing. */
  public List<Projection> mlpBiases() {
    return json.bool("mlp_bias", false) ? List.of(GATE, UP, DOWN) : List.of();
  }

  /** Refuses a configuration that switches something on which a decoder does not compute. */
  public void refuseIfTrue(String key) {
    if (json.bool(key, false)) {
      throw json.unsupported(key, "true", "false");
    }
  }

  /**
   * Begins the architecture of a decoder as Llama's: refuses quantized weights, and reads sizes,
   * rotary frequencies and tokens.
   */
  public Architecture.Builder decoder(ModelFamily family, int kvHeads) {
    return decoder(family, kvHeads, Conventions.LLAMA);
  }

  /** Begins the architecture of a decoder of a family with other conventions. */
  public Architecture.Builder decoder(ModelFamily family, int kvHeads, Conventions conventions) {
    refuseQuantized(json);
    outer.ifPresent(ConfigFile::refuseQuantized);
    Conventions.Keys keys = conventions.keys();
    ModelShape shape = shape(kvHeads, keys);
    int maxPositions = json.integer(keys.positions(), 1, MAX_POSITIONS);
    Set<Integer> eosTokens = new LinkedHashSet<>();
    addEosTokens(eosTokens, json, shape.vocabulary());
    outer.ifPresent(whole -> addEosTokens(eosTokens, whole, shape.vocabulary()));
    JsonFile.readIfPresent(directory.resolve(GENERATION), MAX_FILE_BYTES)
        .ifPresent(generation -> addEosTokens(eosTokens, generation, shape.vocabulary()));
    double epsilon =
        json.optionalNumber(keys.epsilon(), Double.MIN_NORMAL, 0.1).orElse(conventions.epsilon());
    Optional<Rope> rope =
        conventions.rotary()
            ? Optional.of(Rope.read(json, maxPositions, MAX_POSITIONS))
            : Optional.empty();
    rope.ifPresent(rotation -> checkRotary(rotation, shape.headDim()));
    return new Architecture.Builder(
            family.modelType(), shape, new Norm(conventions.norm(), epsilon, 0), rope, maxPositions)
        .mlp(new Mlp(activation(conventions), true))
        .tiedEmbeddings(
            json.bool(
                "tie_word_embeddings",
                outer
                    .map(whole -> whole.bool("tie_word_embeddings", conventions.tied()))
                    .orElse(conventions.tied())))
        .tokens(bosToken(json, shape.vocabulary()), eosTokens);
  }

  private Mlp.Activation activation(Conventions conventions) {
    String key = conventions.keys().activation();
    Optional<String> found = json.text(key);
    if (found.isEmpty()) {
      return conventions.activation();
    }
    return switch (found.get()) {
      case "silu", "swish" -> Mlp.Activation.SILU;
      case "gelu_pytorch_tanh", "gelu_new" -> Mlp.Activation.GELU_TANH;
      case "gelu", "gelu_python" -> Mlp.Activation.GELU;
      default ->
          throw json.unsupported(
              key, "'" + found.get() + "'", "'silu', 'gelu', 'gelu_pytorch_tanh' or 'gelu_new'");
    };
  }

  private static void refuseQuantized(JsonFile json) {
    if (json.has("quantization_config")) {
      throw json.unsupported(
          "quantization_config",
          json.root().get("quantization_config").path("quant_method").toString(),
          "weights in F32, F16, BF16 or Jlama's Q4");
    }
  }

  private void checkRotary(Rope rope, int headDim) {
    int rotated = rope.rotated(headDim);
    if (rotated < 2 || rotated % 2 != 0) {
      throw Faults.MODEL.invalid(
          json.where("partial_rotary_factor"),
          "an even number of the " + headDim + " elements of a head, at least 2",
          rotated);
    }
    if (rope.scaling() instanceof RopeScaling.LongRope scaling
        && (scaling.factors().size() != rotated / 2
            || scaling.longFactors().size() != rotated / 2)) {
      throw Faults.MODEL.invalid(
          json.where("short_factor, long_factor"),
          rotated / 2 + " factors each",
          scaling.factors().size() + " and " + scaling.longFactors().size());
    }
  }

  private ModelShape shape(int kvHeads, Conventions.Keys keys) {
    int hidden = json.integer(keys.hidden(), 1, MAX_HIDDEN);
    int heads = heads(keys);
    if (heads % kvHeads != 0) {
      String expected = "a divisor of the " + heads + " " + keys.heads();
      throw Faults.MODEL.invalid(json.where("num_key_value_heads"), expected, kvHeads);
    }
    OptionalInt explicit = json.optionalInteger("head_dim", 1, MAX_HEAD_DIM);
    if (explicit.isEmpty() && hidden % heads != 0) {
      String expected = "a multiple of the " + heads + " " + keys.heads() + ", or a head_dim";
      throw Faults.MODEL.invalid(json.where(keys.hidden()), expected, hidden);
    }
    int headDim = explicit.orElse(hidden / heads);
    if (headDim % 2 != 0) {
      throw Faults.MODEL.invalid(json.where("head_dim"), "an even number", headDim);
    }
    int intermediate =
        keys.intermediateMayBeAbsent()
            ? json.optionalInteger(keys.intermediate(), 1, MAX_INTERMEDIATE).orElse(4 * hidden)
            : json.integer(keys.intermediate(), 1, MAX_INTERMEDIATE);
    return ModelShape.builder()
        .layers(json.integer(keys.layers(), 1, MAX_LAYERS))
        .hidden(hidden)
        .intermediate(intermediate)
        .heads(heads)
        .kvHeads(kvHeads)
        .headDim(headDim)
        .vocabulary(json.integer("vocab_size", 1, MAX_VOCABULARY))
        .build();
  }

  private static OptionalInt bosToken(JsonFile json, int vocabulary) {
    String key = "bos_token_id";
    Optional<JsonNode> value = json.node(key);
    return value.isPresent() ? token(json, key, value.get(), vocabulary) : OptionalInt.empty();
  }

  private static void addEosTokens(Set<Integer> tokens, JsonFile json, int vocabulary) {
    String key = "eos_token_id";
    json.node(key)
        .ifPresent(
            value -> {
              if (!value.isArray()) {
                token(json, key, value, vocabulary).ifPresent(tokens::add);
              } else if (value.size() > MAX_EOS_TOKENS) {
                throw json.wrong(key, value, "at most " + MAX_EOS_TOKENS + " tokens");
              } else {
                value.forEach(id -> token(json, key, id, vocabulary).ifPresent(tokens::add));
              }
            });
  }

  /** Returns a token; a number that no token has, such as -1, stands for none. */
  private static OptionalInt token(JsonFile json, String key, JsonNode value, int vocabulary) {
    int id = json.integer(key, value, Integer.MIN_VALUE, Integer.MAX_VALUE);
    if (id >= 0 && id < vocabulary) {
      return OptionalInt.of(id);
    }
    LOG.log(
        Level.WARNING,
        "{0}: expected a token from 0 to {1}, found {2}, which is ignored",
        json.where(key),
        String.valueOf(vocabulary - 1),
        String.valueOf(id));
    return OptionalInt.empty();
  }
}
