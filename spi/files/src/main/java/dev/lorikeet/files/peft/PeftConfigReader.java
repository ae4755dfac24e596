package dev.lorikeet.files.peft;

import com.fasterxml.jackson.databind.JsonNode;
import dev.lorikeet.LorikeetException;
import dev.lorikeet.files.Faults;
import dev.lorikeet.files.JsonFile;
import dev.lorikeet.files.adapter.AdapterPlan;
import dev.lorikeet.files.peft.PeftConfig.BlockDiagonal;
import dev.lorikeet.files.peft.PeftConfig.Method;
import dev.lorikeet.files.peft.PeftConfig.Modules;
import dev.lorikeet.files.peft.PeftConfig.Pattern;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;

/** Reads {@code adapter_config.json}; every error names the key, what was found and expected. */
final class PeftConfigReader {
  static final int MAX_CONFIG_BYTES = 1 << 20;
  private static final int MAX_LIST = 10_000;
  private static final int MAX_LAYER = 1_000_000;
  private static final int MAX_BLOCKS = AdapterPlan.MAX_RANK;

  /** PEFT's own defaults, for keys that are absent. */
  private static final int DEFAULT_RANK = 8;

  private static final double DEFAULT_ALPHA = 8;

  private static final int DEFAULT_VERA_RANK = 256;
  private static final int MAX_TOKEN = 1 << 24;

  private final Path file;
  private final JsonNode config;

  private PeftConfigReader(Path file, JsonNode config) {
    this.file = file;
    this.config = config;
  }

  static PeftConfig read(Path file, ByteBuffer bytes) {
    JsonNode config = JsonFile.parse(Faults.ADAPTER, file.toString(), bytes).root();
    PeftFeatures.check(file, config);
    return new PeftConfigReader(file, config).read();
  }

  private PeftConfig read() {
    Method method = Method.valueOf(config.path("peft_type").asText());
    PeftConfig.Beside beside = beside();
    Modules targets =
        modules("target_modules")
            .or(
                () ->
                    beside.parameters().isEmpty() && beside.tokens().isEmpty()
                        ? Optional.empty()
                        : Optional.of(new Modules.None()))
            .orElseThrow(() -> noTargets());
    if (method == Method.VERA && !flag(config.path("save_projection"), "save_projection", true)) {
      throw Faults.ADAPTER.refuseUnsupported(
          file,
          "save_projection: VeRA without its projections is not supported, since only PyTorch can"
              + " draw them; save the adapter with save_projection=True");
    }
    Optional<Set<Integer>> layers = layers();
    List<Pattern<Boolean>> layersPatterns = layersPatterns();
    if (layers.isPresent()
        && !(targets instanceof Modules.Names || targets instanceof Modules.None)) {
      throw Faults.ADAPTER.refuse(
          file, "layers_to_transform: expected none where target_modules is a string");
    }
    return new PeftConfig(
        file,
        config.has("r") ? rank("r", config.get("r")) : defaultRank(method),
        config.has("lora_alpha") ? alpha("lora_alpha", config.get("lora_alpha")) : DEFAULT_ALPHA,
        flag(config.path("use_rslora"), "use_rslora", false),
        patterns("rank_pattern", this::rank),
        patterns("alpha_pattern", this::alpha),
        targets,
        modules("exclude_modules"),
        layers,
        layersPatterns,
        blockDiagonal(),
        flag(config.path(PeftFeatures.DORA), PeftFeatures.DORA, false),
        method,
        beside);
  }

  private static int defaultRank(Method method) {
    return method == Method.VERA ? DEFAULT_VERA_RANK : DEFAULT_RANK;
  }

  private PeftConfig.Beside beside() {
    return new PeftConfig.Beside(
        names("modules_to_save", config.path("modules_to_save")),
        tokens(),
        names("target_parameters", config.path("target_parameters")),
        modules("feedforward_modules"));
  }

  /** A list is of the embeddings. */
  private Map<String, List<Integer>> tokens() {
    String key = "trainable_token_indices";
    JsonNode value = config.path(key);
    if (PeftFeatures.saysNothing(value)) {
      return Map.of();
    }
    if (value.isArray()) {
      return Map.of("embed_tokens", tokens(key, value));
    }
    if (!value.isObject() || value.size() > MAX_LIST) {
      throw unexpected(key, "a list of token ids or an object of such", value);
    }
    Map<String, List<Integer>> tokens = new TreeMap<>();
    for (Map.Entry<String, JsonNode> entry : value.properties()) {
      String at = key + "['" + Faults.show(entry.getKey()) + "']";
      tokens.put(entry.getKey(), tokens(at, entry.getValue()));
    }
    return tokens;
  }

  private List<Integer> tokens(String key, JsonNode value) {
    if (!value.isArray() || value.isEmpty() || value.size() > MAX_LIST) {
      throw unexpected(key, "a list of at most " + MAX_LIST + " token ids", value);
    }
    List<Integer> tokens = new ArrayList<>();
    for (JsonNode token : value) {
      if (!token.isInt() || token.intValue() < 0 || token.intValue() > MAX_TOKEN) {
        throw unexpected(key, "token ids", token);
      }
      tokens.add(token.intValue());
    }
    if (Set.copyOf(tokens).size() != tokens.size()) {
      throw Faults.ADAPTER.refuse(file, key + ": expected each token id once, found one twice");
    }
    return List.copyOf(tokens);
  }

  private LorikeetException noTargets() {
    return unexpected(
        "target_modules",
        "a list of module names or a regular expression",
        config.path("target_modules"));
  }

  private Optional<Modules> modules(String key) {
    JsonNode value = config.path(key);
    if (value.isMissingNode() || value.isNull() || value.isArray() && value.isEmpty()) {
      return Optional.empty();
    }
    if (value.isTextual()) {
      String text = value.asText();
      if (text.isEmpty()) {
        return Optional.empty();
      }
      if (key.equals("target_modules") && text.toLowerCase(Locale.ROOT).equals("all-linear")) {
        return Optional.of(new Modules.AllLinear());
      }
      return Optional.of(new Modules.Matching(PeftConfig.pattern(file, key, text, true)));
    }
    return Optional.of(new Modules.Names(Set.copyOf(new HashSet<>(names(key, value)))));
  }

  private List<String> names(String key, JsonNode value) {
    if (value.isMissingNode() || value.isNull()) {
      return List.of();
    }
    if (!value.isArray() || value.size() > MAX_LIST) {
      throw unexpected(key, "a list of at most " + MAX_LIST + " names", value);
    }
    List<String> names = new ArrayList<>();
    for (JsonNode name : value) {
      if (!name.isTextual() || name.asText().isEmpty()) {
        throw unexpected(key, "a list of names", name);
      }
      names.add(name.asText());
    }
    return List.copyOf(names);
  }

  private Optional<Set<Integer>> layers() {
    String key = "layers_to_transform";
    JsonNode value = config.path(key);
    if (value.isMissingNode() || value.isNull() || value.isArray() && value.isEmpty()) {
      return Optional.empty();
    }
    if (value.isInt()) {
      return Optional.of(Set.of(layer(key, value)));
    }
    if (!value.isArray() || value.size() > MAX_LIST) {
      throw unexpected(key, "a layer or a list of layers", value);
    }
    Set<Integer> layers = new HashSet<>();
    for (JsonNode layer : value) {
      layers.add(layer(key, layer));
    }
    return Optional.of(Set.copyOf(layers));
  }

  private int layer(String key, JsonNode value) {
    if (!value.isInt() || value.intValue() < 0 || value.intValue() > MAX_LAYER) {
      throw unexpected(key, "whole numbers of at least 0", value);
    }
    return value.intValue();
  }

  /**
   * Reads the patterns of what stands before a layer's number. PEFT matches {@code
   * .*?\.PATTERN\.(\d+)\.}; here the number is known, and what stands before it is matched.
   */
  private List<Pattern<Boolean>> layersPatterns() {
    String key = "layers_pattern";
    JsonNode value = config.path(key);
    List<String> patterns =
        value.isTextual()
            ? value.asText().isEmpty() ? List.of() : List.of(value.asText())
            : names(key, value);
    if (patterns.isEmpty()) {
      return List.of(PeftConfig.pattern(file, key, ".*\\.[^.]*\\.", true));
    }
    return patterns.stream()
        .map(pattern -> PeftConfig.pattern(file, key, ".*\\.(?:" + pattern + ")\\.", true))
        .toList();
  }

  /** What a pattern's value must be. */
  private interface ValueReader<T> {
    T read(String key, JsonNode value);
  }

  private <T> List<Pattern<T>> patterns(String key, ValueReader<T> reader) {
    JsonNode value = config.path(key);
    if (value.isMissingNode() || value.isNull()) {
      return List.of();
    }
    if (!value.isObject() || value.size() > MAX_LIST) {
      throw unexpected(key, "an object from patterns to numbers", value);
    }
    List<Pattern<T>> patterns = new ArrayList<>();
    for (Map.Entry<String, JsonNode> entry : value.properties()) {
      String at = key + "['" + Faults.show(entry.getKey()) + "']";
      patterns.add(
          PeftConfig.pattern(
              file, at, "(.*\\.)?(" + entry.getKey() + ")$", reader.read(at, entry.getValue())));
    }
    return List.copyOf(patterns);
  }

  private int rank(String key, JsonNode value) {
    return number(key, value, AdapterPlan.MAX_RANK);
  }

  private int number(String key, JsonNode value, int most) {
    if (!value.isInt() || value.intValue() < 1 || value.intValue() > most) {
      throw unexpected(key, "a whole number from 1 to " + most, value);
    }
    return value.intValue();
  }

  private double alpha(String key, JsonNode value) {
    if (!value.isNumber() || !Double.isFinite(value.doubleValue()) || value.doubleValue() <= 0) {
      throw unexpected(key, "a finite number above 0", value);
    }
    return value.doubleValue();
  }

  private boolean flag(JsonNode value, String key, boolean otherwise) {
    if (value.isMissingNode() || value.isNull()) {
      return otherwise;
    }
    if (!value.isBoolean()) {
      throw unexpected(key, "true or false", value);
    }
    return value.booleanValue();
  }

  private Optional<BlockDiagonal> blockDiagonal() {
    JsonNode value = config.path("use_bdlora");
    if (PeftFeatures.saysNothing(value)) {
      return Optional.empty();
    }
    if (!value.isObject()) {
      throw unexpected("use_bdlora", "an object", value);
    }
    for (Map.Entry<String, JsonNode> entry : value.properties()) {
      if (!Set.of("target_modules_bd_a", "target_modules_bd_b", "nblocks", "match_strict")
          .contains(entry.getKey())) {
        throw Faults.ADAPTER.refuseUnsupported(
            file, "use_bdlora: '" + Faults.show(entry.getKey()) + "' is not known here");
      }
    }
    List<String> a = names("use_bdlora.target_modules_bd_a", value.path("target_modules_bd_a"));
    List<String> b = names("use_bdlora.target_modules_bd_b", value.path("target_modules_bd_b"));
    return Optional.of(
        new BlockDiagonal(
            a,
            b,
            value.has("nblocks")
                ? number("use_bdlora.nblocks", value.get("nblocks"), MAX_BLOCKS)
                : 1,
            flag(value.path("match_strict"), "use_bdlora.match_strict", true)));
  }

  private LorikeetException unexpected(String key, String expected, JsonNode found) {
    return Faults.ADAPTER.refuse(
        file, key + ": expected " + expected + ", found " + PeftFeatures.describe(found));
  }
}
