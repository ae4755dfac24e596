package dev.lorikeet.arrow;

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * The header of a safetensors file, checked against the file's size: 8 bytes with the length of the
 * header (little-endian), the header as JSON, then the data of the tensors without gaps or
 * overlaps. Format: the documentation of Hugging Face's {@code safetensors}.
 *
 * @param tensors the tensors by name
 */
record SafetensorsHeader(Map<String, Entry> tensors) {
  /** Far more than an adapter needs: each tensor takes about 130 bytes. */
  static final int MAX_HEADER_BYTES = 16 << 20;

  private static final int MAX_TENSORS = 65_536;
  private static final int MAX_DIMENSIONS = 8;
  private static final String METADATA = "__metadata__";
  private static final String WHAT = "safetensors header";

  /** How many bits an element of each type of the format has. */
  private static final Map<String, Integer> BITS =
      Map.ofEntries(
          Map.entry("BOOL", 8),
          Map.entry("F4", 4),
          Map.entry("F6_E2M3", 6),
          Map.entry("F6_E3M2", 6),
          Map.entry("U8", 8),
          Map.entry("I8", 8),
          Map.entry("F8_E5M2", 8),
          Map.entry("F8_E4M3", 8),
          Map.entry("F8_E8M0", 8),
          Map.entry("I16", 16),
          Map.entry("U16", 16),
          Map.entry("F16", 16),
          Map.entry("BF16", 16),
          Map.entry("I32", 32),
          Map.entry("U32", 32),
          Map.entry("F32", 32),
          Map.entry("C64", 64),
          Map.entry("F64", 64),
          Map.entry("I64", 64),
          Map.entry("U64", 64));

  /**
   * One tensor.
   *
   * @param type the name of the element type, one that the format knows
   * @param shape the dimensions
   * @param begin where the data begins in the file
   * @param end where it ends
   */
  record Entry(String type, List<Long> shape, long begin, long end) {}

  /** Reads the bytes of a header, without its length. */
  static ByteBuffer readBytes(Path file, FileChannel channel) throws IOException {
    long size = channel.size();
    if (size < 10) {
      throw Refusal.invalid(
          file, "truncated: expected a safetensors file of at least 10 bytes, found " + size);
    }
    ByteBuffer length = ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN);
    AdapterFolder.readFully(file, channel, length, 0);
    long headerBytes = length.getLong(0);
    if (headerBytes < 2 || headerBytes > MAX_HEADER_BYTES || headerBytes > size - 8) {
      throw Refusal.invalid(
          file,
          WHAT
              + " length: expected 2 to "
              + Math.min(MAX_HEADER_BYTES, size - 8)
              + " bytes, found "
              + Long.toUnsignedString(headerBytes));
    }
    ByteBuffer header = ByteBuffer.allocate((int) headerBytes);
    AdapterFolder.readFully(file, channel, header, 8);
    return header.flip();
  }

  /** Parses and checks the header of a file of so many bytes. */
  static SafetensorsHeader parse(Path file, ByteBuffer header, long size) {
    if (header.get(header.position()) != '{') {
      throw Refusal.invalid(file, WHAT + ": expected it to begin with '{'");
    }
    long dataStart = 8L + header.remaining();
    Map<String, Entry> tensors = new TreeMap<>();
    try (JsonParser json = StrictJson.parser(file, WHAT, header)) {
      new Reader(file, json, dataStart, size).readInto(tensors);
    } catch (IOException e) {
      throw StrictJson.damaged(file, WHAT, e);
    }
    checkCoverage(file, tensors, dataStart, size);
    return new SafetensorsHeader(tensors);
  }

  /** The data must cover the file without a gap, an overlap or a rest. */
  private static void checkCoverage(
      Path file, Map<String, Entry> tensors, long dataStart, long size) {
    List<Map.Entry<String, Entry>> sorted = new ArrayList<>(tensors.entrySet());
    sorted.sort(
        Comparator.comparingLong((Map.Entry<String, Entry> e) -> e.getValue().begin())
            .thenComparingLong(e -> e.getValue().end()));
    long at = dataStart;
    for (Map.Entry<String, Entry> entry : sorted) {
      long begin = entry.getValue().begin();
      if (begin != at) {
        throw Refusal.invalid(
            file,
            tensor(entry.getKey())
                + ": data_offsets: expected to begin at "
                + (at - dataStart)
                + ", found "
                + (begin - dataStart)
                + (begin < at ? ", which overlaps another tensor" : ", which leaves a gap"));
      }
      at = entry.getValue().end();
    }
    if (at != size) {
      throw Refusal.invalid(
          file,
          "expected the data of the tensors to end the file at byte "
              + at
              + ", found "
              + size
              + " bytes");
    }
  }

  /** Returns how messages name a tensor. */
  static String tensor(String name) {
    return "tensor '" + Refusal.show(name) + "'";
  }

  /** Reads the JSON of a header token by token, so that nothing is built from what is not used. */
  private record Reader(Path file, JsonParser json, long dataStart, long size) {
    void readInto(Map<String, Entry> tensors) throws IOException {
      expect(json.nextToken(), JsonToken.START_OBJECT, WHAT);
      while (json.nextToken() != JsonToken.END_OBJECT) {
        String name = json.currentName();
        if (name.equals(METADATA)) {
          json.nextToken();
          json.skipChildren();
        } else {
          tensors.put(name, entry(name));
          if (tensors.size() > MAX_TENSORS) {
            throw Refusal.invalid(
                file, WHAT + ": expected at most " + MAX_TENSORS + " tensors, found more");
          }
        }
      }
      if (json.nextToken() != null) {
        throw Refusal.invalid(file, WHAT + ": expected nothing after its closing brace");
      }
    }

    private Entry entry(String name) throws IOException {
      expect(json.nextToken(), JsonToken.START_OBJECT, tensor(name));
      String type = "";
      List<Long> shape = List.of();
      List<Long> offsets = List.of();
      int seen = 0;
      while (json.nextToken() != JsonToken.END_OBJECT) {
        String key = json.currentName();
        switch (key) {
          case "dtype" -> {
            expect(json.nextToken(), JsonToken.VALUE_STRING, tensor(name) + ": dtype");
            type = json.getText();
          }
          case "shape" -> shape = numbers(name, key);
          case "data_offsets" -> offsets = numbers(name, key);
          default ->
              throw Refusal.invalid(
                  file,
                  tensor(name)
                      + ": expected dtype, shape and data_offsets, found '"
                      + Refusal.show(key)
                      + "'");
        }
        seen++;
      }
      if (seen != 3) {
        throw Refusal.invalid(
            file,
            tensor(name) + ": expected dtype, shape and data_offsets, found " + seen + " of them");
      }
      return checked(name, type, shape, offsets);
    }

    private Entry checked(String name, String type, List<Long> shape, List<Long> offsets) {
      Integer bits = BITS.get(type);
      if (bits == null) {
        throw Refusal.invalid(
            file,
            tensor(name)
                + ": dtype: expected F32, F16 or BF16, found '"
                + Refusal.show(type)
                + "'");
      }
      if (offsets.size() != 2) {
        throw Refusal.invalid(
            file, tensor(name) + ": data_offsets: expected two numbers, found " + offsets.size());
      }
      long begin = offsets.get(0);
      long end = offsets.get(1);
      if (begin > end || end > size - dataStart) {
        throw Refusal.invalid(
            file,
            tensor(name)
                + ": data_offsets: expected 0 <= begin <= end <= "
                + (size - dataStart)
                + ", found "
                + offsets);
      }
      long bytes;
      try {
        long bitCount = bits;
        for (long dimension : shape) {
          bitCount = Math.multiplyExact(bitCount, dimension);
        }
        bytes = Math.ceilDiv(bitCount, 8L);
      } catch (ArithmeticException e) {
        throw Refusal.invalid(
            file, tensor(name) + ": shape: expected a product within 64 bits, found " + shape, e);
      }
      if (bytes != end - begin) {
        throw Refusal.invalid(
            file,
            tensor(name)
                + ": expected "
                + bytes
                + " bytes for "
                + type
                + " of shape "
                + shape
                + ", found data_offsets of "
                + (end - begin)
                + " bytes");
      }
      return new Entry(type, shape, dataStart + begin, dataStart + end);
    }

    private List<Long> numbers(String name, String key) throws IOException {
      String what = tensor(name) + ": " + key;
      expect(json.nextToken(), JsonToken.START_ARRAY, what);
      List<Long> numbers = new ArrayList<>(2);
      while (json.nextToken() != JsonToken.END_ARRAY) {
        expect(json.currentToken(), JsonToken.VALUE_NUMBER_INT, what);
        if (json.getNumberType() == JsonParser.NumberType.BIG_INTEGER || json.getLongValue() < 0) {
          throw Refusal.invalid(
              file,
              what + ": expected numbers from 0 to 2^63-1, found " + Refusal.show(json.getText()));
        }
        if (numbers.size() == MAX_DIMENSIONS) {
          throw Refusal.invalid(
              file, what + ": expected at most " + MAX_DIMENSIONS + " numbers, found more");
        }
        numbers.add(json.getLongValue());
      }
      return List.copyOf(numbers);
    }

    private void expect(JsonToken found, JsonToken expected, String what) {
      if (found != expected) {
        throw Refusal.invalid(
            file, what + ": expected " + word(expected) + ", found " + word(found));
      }
    }

    private static String word(JsonToken token) {
      return switch (token) {
        case START_OBJECT -> "an object";
        case START_ARRAY -> "an array";
        case VALUE_STRING -> "a string";
        case VALUE_NUMBER_INT -> "a whole number";
        case VALUE_NUMBER_FLOAT -> "a fraction";
        default -> token.asString() == null ? "another kind of value" : token.asString();
      };
    }
  }
}
