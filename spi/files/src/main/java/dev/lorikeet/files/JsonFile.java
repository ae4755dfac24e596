package dev.lorikeet.files;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonLocation;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.StreamReadConstraints;
import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lorikeet.LorikeetException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.CodingErrorAction;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.OptionalInt;

/**
 * One JSON object of an untrusted file, read key by key: UTF-8 alone, no key twice, nothing after
 * the end; nesting, names, numbers and strings are bounded. Every failure is a {@link
 * LorikeetException} of the file's {@link Faults} (a model's, where none are given) that names the
 * file and the key, what was found and what was expected. A key whose value is {@code null} counts
 * as absent, as it does in Hugging Face's configurations.
 */
public final class JsonFile {
  private static final int MAX_DEPTH = 16;
  private static final int MAX_NAME = 10_000;
  private static final int MAX_NUMBER = 100;
  private static final int MAX_STRING = 1 << 20;

  /** A tree takes some eight times the bytes of its file, what decodes them included. */
  private static final int HEAP_PER_BYTE = 8;

  private static final long MOST_HEAP = Runtime.getRuntime().maxMemory();

  private static final JsonMapper MAPPER =
      JsonMapper.builder(
              JsonFactory.builder()
                  .streamReadConstraints(
                      StreamReadConstraints.builder()
                          .maxNestingDepth(MAX_DEPTH)
                          .maxNameLength(MAX_NAME)
                          .maxNumberLength(MAX_NUMBER)
                          .maxStringLength(MAX_STRING)
                          .build())
                  .disable(JsonFactory.Feature.CANONICALIZE_FIELD_NAMES)
                  .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
                  .build())
          .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
          .build();

  private final Faults faults;
  private final String source;
  private final ObjectNode root;

  private JsonFile(Faults faults, String source, ObjectNode root) {
    this.faults = faults;
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
    long fits = MOST_HEAP / HEAP_PER_BYTE;
    ByteBuffer bytes =
        fits < maxBytes
            ? UntrustedFile.read(
                Faults.MODEL, file, fits, " of JSON with a heap of " + MOST_HEAP + " (-Xmx)")
            : UntrustedFile.read(Faults.MODEL, file, maxBytes);
    return parse(Faults.MODEL, file.toString(), bytes);
  }

  /** Reads a file as {@link #read} does, or returns empty when there is none. */
  public static Optional<JsonFile> readIfPresent(Path file, long maxBytes) {
    return Files.exists(file) ? Optional.of(read(file, maxBytes)) : Optional.empty();
  }

  /** Parses bytes that must hold one JSON object; {@code source} names them in errors. */
  public static JsonFile parse(String source, byte[] bytes) {
    return parse(Faults.MODEL, source, ByteBuffer.wrap(bytes));
  }

  /**
   * Parses bytes that must hold one JSON object.
   *
   * @param faults whose file it is, which decides the codes of errors
   * @param source names the bytes in errors
   */
  public static JsonFile parse(Faults faults, String source, ByteBuffer bytes) {
    try (JsonParser parser = parser(faults, source, bytes)) {
      if (MAPPER.readValue(parser, JsonNode.class) instanceof ObjectNode object) {
        return new JsonFile(faults, source, object);
      }
      throw faults.invalid(source, "a JSON object", "other JSON or nothing");
    } catch (IOException e) {
      throw damaged(faults, source, e);
    } catch (OutOfMemoryError e) {
      throw UntrustedFile.tooLargeForHeap(faults, source, bytes.limit(), e);
    }
  }

  /**
   * Returns an object that came from elsewhere, such as another notation.
   *
   * @param faults whose file it is, which decides the codes of errors
   * @param source names the object in errors
   */
  public static JsonFile of(Faults faults, String source, ObjectNode root) {
    return new JsonFile(faults, source, root);
  }

  /**
   * Refuses keys that nobody reads.
   *
   * @param known those that may be there
   */
  public void checkKeys(Collection<String> known) {
    for (var entry : root.properties()) {
      if (!known.contains(entry.getKey())) {
        throw faults.refuse(source, KnownNames.unknown("key", entry.getKey(), known));
      }
    }
  }

  /**
   * Opens a parser on one JSON text, for those who build no tree; its exceptions go through {@link
   * #damaged}.
   */
  public static JsonParser parser(Faults faults, String source, ByteBuffer bytes) {
    try {
      return MAPPER.createParser(decode(faults, source, bytes));
    } catch (IOException e) {
      throw damaged(faults, source, e);
    }
  }

  /**
   * Opens a parser on JSON text of which only the beginning may be wanted; bounded like all others.
   *
   * @param bytes UTF-8, which the parser closes
   */
  public static JsonParser parser(InputStream bytes) throws IOException {
    return MAPPER.createParser(bytes);
  }

  /** Returns the error of JSON that is not well-formed: what is wrong with it, and where. */
  public static LorikeetException damaged(Faults faults, String source, IOException e) {
    String found = String.valueOf(e.getMessage());
    if (e instanceof JsonProcessingException json) {
      JsonLocation at = json.getLocation();
      found = json.getOriginalMessage();
      if (at != null) {
        found += " (line " + at.getLineNr() + ", column " + at.getColumnNr() + ")";
      }
    }
    return faults.invalid(source, "well-formed JSON", found, e);
  }

  private static String decode(Faults faults, String source, ByteBuffer bytes) {
    try {
      return StandardCharsets.UTF_8
          .newDecoder()
          .onMalformedInput(CodingErrorAction.REPORT)
          .onUnmappableCharacter(CodingErrorAction.REPORT)
          .decode(bytes)
          .toString();
    } catch (CharacterCodingException e) {
      throw faults.invalid(source, "UTF-8", "a malformed sequence of bytes", e);
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
                return new JsonFile(faults, where(key), object);
              }
              throw wrong(key, value, "an object");
            });
  }

  /**
   * Returns the objects of the list under a key that must be there, named {@code file: key[index]}
   * in errors.
   *
   * @param most how many there may be
   */
  public List<JsonFile> objects(String key, int most) {
    String expected = "a list of at most " + most + " objects";
    JsonNode list = node(key).orElseThrow(() -> missing(key, expected));
    if (!list.isArray() || list.size() > most) {
      throw wrong(key, list, expected);
    }
    List<JsonFile> objects = new ArrayList<>();
    for (JsonNode value : list) {
      String name = key + "[" + objects.size() + "]";
      if (!(value instanceof ObjectNode object)) {
        throw wrong(name, value, "an object");
      }
      objects.add(new JsonFile(faults, where(name), object));
    }
    return objects;
  }

  /** Returns the number of bytes under a key that must be there and lie in {@code [0, max]}. */
  public long bytes(String key, long max) {
    String expected = "a number of bytes up to " + max;
    JsonNode value = node(key).orElseThrow(() -> missing(key, expected));
    if (!value.isIntegralNumber()
        || !value.canConvertToLong()
        || value.longValue() < 0
        || value.longValue() > max) {
      throw wrong(key, value, expected);
    }
    return value.longValue();
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
    return faults.invalid(where(key), expected, brief(found));
  }

  /** Returns the error for a key that must be there. */
  public LorikeetException missing(String key, String expected) {
    return faults.invalid(where(key), expected, "nothing");
  }

  /** Returns the error for a feature that this plugin does not have. */
  public LorikeetException unsupported(String key, Object found, String expected) {
    return faults.unsupported(where(key), expected, found);
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
