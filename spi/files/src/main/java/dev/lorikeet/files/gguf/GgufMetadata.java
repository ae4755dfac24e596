package dev.lorikeet.files.gguf;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.files.Faults;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.CharsetDecoder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.OptionalInt;
import java.util.Set;

/**
 * What a GGUF file says of itself, by key. Values are kept as the file has them and decoded when
 * they are asked for: nearly all of them are the words of a vocabulary. Every failure names file
 * and key, what was found and what was expected.
 */
public final class GgufMetadata {
  private static final int MAX_KEY = 1 << 16;

  /** More than any chat template. */
  private static final int MAX_TEXT = 1 << 20;

  /** More than any vocabulary or list of merges. */
  private static final long MAX_ELEMENTS = 1 << 22;

  /** A text takes so many bytes at most once a tokenizer is made of it, itself apart. */
  private static final long FITTING_TEXTS = Runtime.getRuntime().maxMemory() / 256;

  /** The types of values, by their numbers. */
  private enum Kind {
    UINT8(1),
    INT8(1),
    UINT16(2),
    INT16(2),
    UINT32(4),
    INT32(4),
    FLOAT32(4),
    BOOL(1),
    STRING(0),
    ARRAY(0),
    UINT64(8),
    INT64(8),
    FLOAT64(8);

    private final int bytes;

    Kind(int bytes) {
      this.bytes = bytes;
    }

    boolean isWhole() {
      return bytes > 0 && this != BOOL && this != FLOAT32 && this != FLOAT64;
    }

    @Override
    public String toString() {
      return name().toLowerCase(Locale.ROOT);
    }
  }

  /**
   * A value as the file has it.
   *
   * @param kind the type of its elements
   * @param list whether it is an array
   * @param count how many elements there are
   * @param bytes those of all elements
   */
  private record Value(Kind kind, boolean list, int count, ByteBuffer bytes) {
    String form() {
      return list ? "an array of " + count + " " + kind : "one " + kind;
    }

    ByteBuffer buffer() {
      return bytes.duplicate().order(ByteOrder.LITTLE_ENDIAN);
    }
  }

  private final Faults faults;
  private final Path file;
  private final Map<String, Value> values;

  private GgufMetadata(Faults faults, Path file, Map<String, Value> values) {
    this.faults = faults;
    this.file = file;
    this.values = values;
  }

  static GgufMetadata read(Faults faults, Path file, GgufInput input, long entries)
      throws IOException {
    Map<String, Value> values = new LinkedHashMap<>();
    for (long e = 0; e < entries; e++) {
      String key = input.text("key " + e + " of the metadata", MAX_KEY);
      String where = file + ": " + Faults.show(key);
      Kind kind = kind(faults, where, input.number(where + ": type"));
      boolean list = kind == Kind.ARRAY;
      long count = 1;
      if (list) {
        kind = kind(faults, where, input.number(where + ": type of elements"));
        count = input.count(where + ": number of elements", MAX_ELEMENTS);
        if (kind == Kind.ARRAY) {
          throw faults.unsupported(where, "an array of simple values", "an array of arrays");
        }
      }
      byte[] bytes =
          kind == Kind.STRING
              ? texts(faults, input, where, count)
              : input.bytes(where, Math.multiplyExact(count, kind.bytes));
      if (values.put(key, new Value(kind, list, (int) count, ByteBuffer.wrap(bytes))) != null) {
        throw faults.invalid(where, "each key once", "it twice");
      }
    }
    return new GgufMetadata(faults, file, values);
  }

  private static Kind kind(Faults faults, String where, int number) {
    if (number < 0 || number >= Kind.values().length) {
      throw faults.invalid(where + ": type", "from 0 to 12", Integer.toUnsignedString(number));
    }
    return Kind.values()[number];
  }

  /** Reads texts, each behind its length, which is kept as 32 bits. */
  private static byte[] texts(Faults faults, GgufInput input, String where, long count)
      throws IOException {
    if (count > FITTING_TEXTS) {
      throw faults.invalid(
          where, "at most " + FITTING_TEXTS + " texts, which fit into the heap (-Xmx)", count);
    }
    if (count > input.left() / Long.BYTES) {
      input.bytes(where, count * Long.BYTES); // says how many bytes are missing
    }
    ByteArrayOutputStream all = new ByteArrayOutputStream();
    ByteBuffer length = ByteBuffer.allocate(Integer.BYTES).order(ByteOrder.LITTLE_ENDIAN);
    for (long i = 0; i < count; i++) {
      byte[] text = input.bytes(where, input.count(where + ": length of a text", MAX_TEXT));
      all.writeBytes(length.putInt(0, text.length).array());
      all.writeBytes(text);
    }
    return all.toByteArray();
  }

  /** Returns the keys. */
  public Set<String> keys() {
    return values.keySet();
  }

  /** Returns whether there is such a key. */
  public boolean has(String key) {
    return values.containsKey(key);
  }

  /** Returns whether there is an array under a key. */
  public boolean isList(String key) {
    Value value = values.get(key);
    return value != null && value.list();
  }

  /** Returns how errors name a key. */
  public String where(String key) {
    return file + ": " + Faults.show(key);
  }

  /** Returns the text under a key. */
  public Optional<String> text(String key) {
    return value(key, false, "a text", Kind.STRING).map(value -> texts(key, value).getFirst());
  }

  /** Returns the texts under a key. */
  public Optional<List<String>> texts(String key) {
    return value(key, true, "an array of texts", Kind.STRING).map(value -> texts(key, value));
  }

  private List<String> texts(String key, Value value) {
    CharsetDecoder decoder = StandardCharsets.UTF_8.newDecoder();
    List<String> texts = new ArrayList<>(value.count());
    ByteBuffer all = value.buffer();
    while (all.hasRemaining()) {
      int length = all.getInt();
      try {
        texts.add(decoder.decode(all.slice(all.position(), length)).toString());
      } catch (CharacterCodingException e) {
        String element = value.list() ? "[" + texts.size() + "]" : "";
        throw faults.invalid(where(key) + element, "UTF-8", "a malformed sequence of bytes", e);
      }
      all.position(all.position() + length);
    }
    return texts;
  }

  /** Returns the truth value under a key. */
  public Optional<Boolean> bool(String key) {
    return value(key, false, "a bool", Kind.BOOL).map(value -> value.bytes().get(0) != 0);
  }

  /** Returns the whole number under a key, which must lie in {@code [min, max]}. */
  public OptionalInt integer(String key, int min, int max) {
    Optional<Value> value = Optional.ofNullable(values.get(key));
    if (value.isEmpty()) {
      return OptionalInt.empty();
    }
    if (value.get().list() || !value.get().kind().isWhole()) {
      throw wrong(key, "a whole number", value.get().form());
    }
    return OptionalInt.of(integer(key, value.get().kind(), value.get().buffer(), min, max));
  }

  /** Returns the whole numbers under a key, all of which must lie in {@code [min, max]}. */
  public Optional<List<Integer>> integers(String key, int min, int max) {
    Optional<Value> value = Optional.ofNullable(values.get(key));
    if (value.isPresent() && (!value.get().list() || !value.get().kind().isWhole())) {
      throw wrong(key, "an array of whole numbers", value.get().form());
    }
    return value.map(
        v -> {
          ByteBuffer all = v.buffer();
          List<Integer> numbers = new ArrayList<>(v.count());
          for (int i = 0; i < v.count(); i++) {
            numbers.add(integer(key, v.kind(), all, min, max));
          }
          return numbers;
        });
  }

  private int integer(String key, Kind kind, ByteBuffer from, int min, int max) {
    long number =
        switch (kind) {
          case UINT8 -> Byte.toUnsignedLong(from.get());
          case INT8 -> from.get();
          case UINT16 -> Short.toUnsignedLong(from.getShort());
          case INT16 -> from.getShort();
          case UINT32 -> Integer.toUnsignedLong(from.getInt());
          case INT32 -> from.getInt();
          default -> from.getLong(); // beyond 63 bits it is negative, or too large
        };
    if (number < min || number > max || (kind == Kind.UINT64 && number < 0)) {
      String found = kind == Kind.UINT64 ? Long.toUnsignedString(number) : Long.toString(number);
      throw wrong(key, "a whole number from " + min + " to " + max, found);
    }
    return (int) number;
  }

  /** Returns the number under a key, which must lie in {@code [min, max]}. */
  public OptionalDouble number(String key, double min, double max) {
    Optional<Value> value = value(key, false, "a number", Kind.FLOAT32, Kind.FLOAT64);
    if (value.isEmpty()) {
      return OptionalDouble.empty();
    }
    double number = decimal(value.get().kind(), value.get().buffer());
    if (!(number >= min && number <= max)) {
      throw wrong(
          key,
          String.format(Locale.ROOT, "a number from %.6g to %.6g", min, max),
          Double.toString(number));
    }
    return OptionalDouble.of(number);
  }

  /** Returns the finite numbers under a key. */
  public Optional<List<Double>> numbers(String key) {
    return value(key, true, "an array of numbers", Kind.FLOAT32, Kind.FLOAT64)
        .map(
            value -> {
              ByteBuffer all = value.buffer();
              List<Double> numbers = new ArrayList<>(value.count());
              for (int i = 0; i < value.count(); i++) {
                double number = decimal(value.kind(), all);
                if (!Double.isFinite(number)) {
                  throw wrong(key, "finite numbers", Double.toString(number));
                }
                numbers.add(number);
              }
              return numbers;
            });
  }

  /** The shortest decimal of a float32 is what its writer meant. */
  private static double decimal(Kind kind, ByteBuffer from) {
    return kind == Kind.FLOAT32
        ? Double.parseDouble(Float.toString(from.getFloat()))
        : from.getDouble();
  }

  /** Returns the bytes under a key. */
  public Optional<byte[]> octets(String key) {
    return value(key, true, "an array of bytes", Kind.UINT8, Kind.INT8)
        .map(
            value -> {
              byte[] octets = new byte[value.count()];
              value.bytes().get(0, octets);
              return octets;
            });
  }

  private Optional<Value> value(String key, boolean list, String expected, Kind... kinds) {
    Optional<Value> value = Optional.ofNullable(values.get(key));
    if (value.isPresent()
        && (value.get().list() != list || !Arrays.asList(kinds).contains(value.get().kind()))) {
      throw wrong(key, expected, value.get().form());
    }
    return value;
  }

  /** Returns the error for a value that is not what it must be. */
  public LorikeetException wrong(String key, String expected, String found) {
    return faults.invalid(where(key), expected, found);
  }

  /** Returns the error for a key that must be there. */
  public LorikeetException missing(String key, String expected) {
    return faults.invalid(where(key), expected, "nothing");
  }

  /** Returns the error for a value that is sound, but stands for something that is not there. */
  public LorikeetException unsupported(String key, String expected, String found) {
    return faults.unsupported(where(key), expected, found);
  }
}
