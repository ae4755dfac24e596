package dev.lorikeet.files;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.OptionalInt;

/**
 * One JSON object of an untrusted file, read key by key. Every failure is a {@link
 * LorikeetException} with code {@link Code#MODEL_INVALID} that names the file and the key, what was
 * found and what was expected. A key whose value is {@code null} counts as absent, as it does in
 * Hugging Face's configurations.
 */
public final class JsonFile {
  private static final JsonMapper MAPPER =
      JsonMapper.builder()
          .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
          .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
          .build();

  private final String source;
  private final ObjectNode root;

  private JsonFile(String source, ObjectNode root) {
    this.source = source;
    this.root = root;
  }

  /**
   * Reads a file that must hold one JSON object.
   *
   * @param file the file
   * @param maxBytes the largest size that is read at all
   */
  public static JsonFile read(Path file, long maxBytes) {
    try {
      if (!Files.isRegularFile(file)) {
        throw Faults.invalid(file, "a file", Files.exists(file) ? "a folder" : "nothing");
      }
      long size = Files.size(file);
      if (size > maxBytes) {
        throw Faults.invalid(file, "at most " + maxBytes + " bytes", size);
      }
      return parse(file.toString(), Files.readAllBytes(file));
    } catch (IOException e) {
      throw Faults.invalid(file, "a readable file", e, e);
    }
  }

  /** Reads a file as {@link #read} does, or returns empty when there is none. */
  public static Optional<JsonFile> readIfPresent(Path file, long maxBytes) {
    return Files.exists(file) ? Optional.of(read(file, maxBytes)) : Optional.empty();
  }

  /** Parses bytes that must hold one JSON object; {@code source} names them in errors. */
  public static JsonFile parse(String source, byte[] bytes) {
    try {
      if (MAPPER.readTree(bytes) instanceof ObjectNode object) {
        return new JsonFile(source, object);
      }
      throw Faults.invalid(source, "a JSON object", "other JSON or nothing");
    } catch (JsonProcessingException e) {
      throw Faults.invalid(source, "valid JSON", e.getOriginalMessage(), e);
    } catch (IOException e) {
      throw new UncheckedIOException(e); // bytes in memory do not fail
    }
  }

  /** Returns the tree itself. */
  public ObjectNode root() {
    return root;
  }

  /** Returns whether the key is there with a value other than null. */
  public boolean has(String key) {
    return root.hasNonNull(key);
  }

  /** Returns the value of a key, whatever its type. */
  public Optional<JsonNode> node(String key) {
    return Optional.ofNullable(root.get(key)).filter(value -> !value.isNull());
  }

  /** Returns the object under a key, named {@code file: key} in errors. */
  public Optional<JsonFile> object(String key) {
    return node(key)
        .map(
            value -> {
              if (value instanceof ObjectNode object) {
                return new JsonFile(where(key), object);
              }
              throw wrong(key, value, "an object");
            });
  }

  /** Returns the integer under a key that must be there and lie in {@code [min, max]}. */
  public int integer(String key, int min, int max) {
    return optionalInteger(key, min, max).orElseThrow(() -> missing(key, "an integer"));
  }

  /** Returns the integer under a key, which must lie in {@code [min, max]} where it is there. */
  public OptionalInt optionalInteger(String key, int min, int max) {
    JsonNode value = root.get(key);
    return value == null || value.isNull()
        ? OptionalInt.empty()
        : OptionalInt.of(integer(key, value, min, max));
  }

  /** Returns an element or value under {@code key} as an integer in {@code [min, max]}. */
  public int integer(String key, JsonNode value, int min, int max) {
    boolean whole =
        value.isIntegralNumber()
            || (value.isNumber() && value.doubleValue() == Math.rint(value.doubleValue()));
    if (!whole || value.doubleValue() < min || value.doubleValue() > max) {
      throw wrong(key, value, "an integer from " + min + " to " + max);
    }
    return value.intValue();
  }

  /** Returns the number under a key, which must lie in {@code [min, max]} where it is there. */
  public OptionalDouble optionalNumber(String key, double min, double max) {
    JsonNode value = root.get(key);
    if (value == null || value.isNull()) {
      return OptionalDouble.empty();
    }
    double number = value.doubleValue();
    if (!value.isNumber() || !(number >= min && number <= max)) {
      throw wrong(key, value, String.format(Locale.ROOT, "a number from %.6g to %.6g", min, max));
    }
    return OptionalDouble.of(number);
  }

  /** Returns the number under a key that must be there and lie in {@code [min, max]}. */
  public double number(String key, double min, double max) {
    return optionalNumber(key, min, max).orElseThrow(() -> missing(key, "a number"));
  }

  /** Returns the truth value under a key, or a default where it is absent. */
  public boolean bool(String key, boolean whenAbsent) {
    JsonNode value = root.get(key);
    if (value == null || value.isNull()) {
      return whenAbsent;
    }
    if (!value.isBoolean()) {
      throw wrong(key, value, "true or false");
    }
    return value.booleanValue();
  }

  /** Returns the text under a key. */
  public Optional<String> text(String key) {
    return node(key)
        .map(
            value -> {
              if (!value.isTextual()) {
                throw wrong(key, value, "text");
              }
              return value.textValue();
            });
  }

  /** Returns the error for a value that is not what it must be. */
  public LorikeetException wrong(String key, JsonNode found, String expected) {
    return Faults.invalid(where(key), expected, brief(found));
  }

  /** Returns the error for a key that must be there. */
  public LorikeetException missing(String key, String expected) {
    return Faults.invalid(where(key), expected, "nothing");
  }

  /** Returns the error for a feature that this plugin does not have. */
  public LorikeetException unsupported(String key, Object found, String expected) {
    return Faults.unsupported(where(key), expected, found);
  }

  /** Returns how errors name a key. */
  public String where(String key) {
    return source + ": " + key;
  }

  /** Returns how errors name this object. */
  public String source() {
    return source;
  }

  private static String brief(JsonNode value) {
    return switch (value.getNodeType()) {
      case OBJECT -> "an object";
      case ARRAY -> "a list of " + value.size();
      default -> value.toString();
    };
  }
}
