package dev.lorikeet.files.model;

import com.fasterxml.jackson.databind.JsonNode;
import dev.lorikeet.files.Faults;
import dev.lorikeet.files.JsonFile;
import java.lang.System.Logger.Level;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.OptionalInt;

/**
 * The rotary part of a {@code config.json}. Older files have {@code rope_theta} and {@code
 * rope_scaling}, those of transformers 5 a {@code rope_parameters} that holds both; the kind stands
 * under {@code rope_type} or, still older, {@code type}. Where a file has both objects,
 * transformers takes {@code rope_scaling}.
 *
 * @param theta the base of the rotary frequencies
 * @param scaling how the frequencies are stretched
 * @param part how much of a head is rotated, from its beginning; above 0, at most 1
 */
public record Rope(double theta, RopeScaling scaling, double part) {
  private static final System.Logger LOG = System.getLogger(Rope.class.getName());
  private static final double DEFAULT_THETA = 10_000;
  private static final double MAX_THETA = 1e15;
  private static final double MAX_FACTOR = 1e6;

  /** Frequencies as they are, over whole heads. */
  public static Rope plain(double theta) {
    return new Rope(theta, new RopeScaling.None(), 1);
  }

  /** Returns how many elements of a head are rotated. */
  public int rotated(int headDim) {
    return (int) (headDim * part);
  }

  static Rope read(JsonFile config, int maxPositions, int positionLimit) {
    Optional<JsonFile> found =
        config
            .object("rope_scaling")
            .filter(json -> !json.root().isEmpty())
            .or(() -> config.object("rope_parameters"));
    if (found.isEmpty()) {
      return new Rope(theta(config).orElse(DEFAULT_THETA), new RopeScaling.None(), part(config, 1));
    }
    JsonFile json = found.get();
    for (JsonNode value : json.root()) {
      if (value.isObject()) {
        throw json.unsupported("parameters", "one object per layer type", "one set for all layers");
      }
    }
    return of(config, json, maxPositions, positionLimit);
  }

  /**
   * Reads one set of parameters.
   *
   * @param config what encloses it
   * @param json the set
   */
  static Rope of(JsonFile config, JsonFile json, int maxPositions, int positionLimit) {
    double theta =
        json.optionalNumber("rope_theta", 1.0001, MAX_THETA)
            .orElse(theta(config).orElse(DEFAULT_THETA));
    OptionalInt outerOriginal =
        config.optionalInteger("original_max_position_embeddings", 1, positionLimit);
    OptionalInt innerOriginal =
        json.optionalInteger("original_max_position_embeddings", 1, positionLimit);
    int original =
        outerOriginal.isPresent() ? outerOriginal.getAsInt() : innerOriginal.orElse(maxPositions);
    return new Rope(theta, scaling(json, maxPositions, original), part(json, part(config, 1)));
  }

  private static OptionalDouble theta(JsonFile json) {
    return json.optionalNumber("rope_theta", 1.0001, MAX_THETA);
  }

  private static double part(JsonFile json, double whenAbsent) {
    return json.optionalNumber("partial_rotary_factor", 0, 1).orElse(whenAbsent);
  }

  /**
   * {@code dynamic} stretches sequences that are longer than {@code max_position_embeddings}, which
   * there are none of: up to there its frequencies are those of {@code default}.
   */
  private static RopeScaling dynamic(JsonFile json, String key, int maxPositions) {
    LOG.log(
        Level.WARNING,
        "{0}: ''dynamic'' is ignored: sequences end at {1} tokens, where it would begin",
        json.where(key),
        String.valueOf(maxPositions));
    return new RopeScaling.None();
  }

  private static RopeScaling scaling(JsonFile json, int maxPositions, int original) {
    String key = json.has("rope_type") ? "rope_type" : "type";
    String kind = json.text(key).orElse("default");
    return switch (kind) {
      case "default" -> new RopeScaling.None();
      case "dynamic" -> dynamic(json, key, maxPositions);
      case "linear" -> new RopeScaling.Linear(json.number("factor", 1, MAX_FACTOR));
      case "llama3" -> llama3(json, original);
      case "yarn" -> yarn(json, maxPositions, original);
      case "longrope", "su" -> longRope(json, maxPositions, original);
      default ->
          throw json.unsupported(
              key, "'" + kind + "'", "one of default, dynamic, linear, llama3, yarn, longrope");
    };
  }

  private static RopeScaling llama3(JsonFile json, int original) {
    double low = json.number("low_freq_factor", 1e-6, MAX_FACTOR);
    double high = json.number("high_freq_factor", 1e-6, MAX_FACTOR);
    if (high <= low) {
      String expected = "more than low_freq_factor " + low;
      throw Faults.MODEL.invalid(json.where("high_freq_factor"), expected, high);
    }
    return new RopeScaling.Llama3(json.number("factor", 1, MAX_FACTOR), low, high, original);
  }

  private static RopeScaling yarn(JsonFile json, int maxPositions, int original) {
    return new RopeScaling.Yarn(
        json.optionalNumber("factor", 1, MAX_FACTOR).orElse((double) maxPositions / original),
        original,
        orWhenZero(json.optionalNumber("beta_fast", 0, MAX_FACTOR), 32),
        orWhenZero(json.optionalNumber("beta_slow", 0, MAX_FACTOR), 1),
        json.optionalNumber("attention_factor", 0, MAX_FACTOR),
        json.optionalNumber("mscale", 0, MAX_FACTOR).orElse(0),
        json.optionalNumber("mscale_all_dim", 0, MAX_FACTOR).orElse(0),
        json.bool("truncate", true));
  }

  private static RopeScaling longRope(JsonFile json, int maxPositions, int original) {
    double factor =
        original < maxPositions
            ? (double) maxPositions / original
            : json.optionalNumber("factor", 1, MAX_FACTOR).orElse(1);
    double scale =
        json.optionalNumber("attention_factor", 0, MAX_FACTOR)
            .orElse(factor <= 1 ? 1 : Math.sqrt(1 + Math.log(factor) / Math.log(original)));
    return new RopeScaling.LongRope(
        factors(json, "short_factor"),
        factors(json, "long_factor"),
        scale,
        Math.min(original, maxPositions),
        maxPositions,
        false);
  }

  private static List<Double> factors(JsonFile json, String key) {
    JsonNode listed =
        json.node(key).orElseThrow(() -> json.missing(key, "a factor for each frequency"));
    List<Double> factors = new ArrayList<>();
    for (JsonNode factor : listed) {
      if (!factor.isNumber() || factor.doubleValue() < 1e-6 || factor.doubleValue() > MAX_FACTOR) {
        throw json.wrong(key, factor, "numbers above 0 and up to " + MAX_FACTOR);
      }
      factors.add(factor.doubleValue());
    }
    return factors;
  }

  /** transformers takes 0 for absent here. */
  private static double orWhenZero(OptionalDouble value, double whenAbsent) {
    double number = value.orElse(0);
    return number == 0 ? whenAbsent : number;
  }
}
