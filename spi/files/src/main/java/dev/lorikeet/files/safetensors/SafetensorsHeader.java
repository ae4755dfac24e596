package dev.lorikeet.files.safetensors;

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import dev.lorikeet.files.Faults;
import dev.lorikeet.files.JsonFile;
import dev.lorikeet.files.UntrustedFile;
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
 * The header of a safetensors file, checked against the file's size.
 *
 * @param tensors the tensors by name
 */
public record SafetensorsHeader(Map<String, Entry> tensors) {
  /*
   * A safetensors file is an 8-byte little-endian length, a JSON header of that length that maps names to {dtype,
   * shape, data_offsets}, and the data. The file is untrusted: length, types, shapes and offsets are all checked
   * against one another and against the size of the file before a byte of data is looked at, and the tensors must cover
   * the data without overlap or gap, which also finds truncated and padded files.
   *
   * Format: github.com/huggingface/safetensors. Jlama writes its Q4 into the same format: dtype Q4, two elements a
   * byte, scales in a second tensor `name.qb`.
   */
  /** Twice what a thousand layers need; the format itself allows 100 MB. */
  static final int MAX_HEADER_BYTES = 16 << 20;

  private static final int MAX_TENSORS = 65_536;
  private static final int MAX_DIMENSIONS = 8;
  private static final String METADATA = "__metadata__";

  public SafetensorsHeader {
    tensors = Map.copyOf(tensors);
  }

  /**
   * One tensor.
   *
   * @param type the element type
   * @param shape the dimensions
   * @param begin where the data begins in the file
   * @param end where it ends
   */
  public record Entry(StoredType type, List<Long> shape, long begin, long end) {}

  /** Reads the bytes of a header, without its length. */
  public static ByteBuffer readBytes(Faults faults, Path file, FileChannel channel)
      throws IOException {
    long size = channel.size();
    if (size < Long.BYTES) {
      throw faults.invalid(file, "at least 8 bytes", size + ", truncated");
    }
    ByteBuffer length = ByteBuffer.allocate(Long.BYTES).order(ByteOrder.LITTLE_ENDIAN);
    UntrustedFile.readFully(faults, file, channel, length, 0);
    long headerBytes = length.getLong(0);
    long limit = Math.min(MAX_HEADER_BYTES, size - Long.BYTES);
    if (headerBytes < 2 || headerBytes > limit) {
      throw faults.invalid(
          file + ": header length",
          "from 2 to " + limit + " bytes",
          Long.toUnsignedString(headerBytes));
    }
    ByteBuffer header = ByteBuffer.allocate((int) headerBytes);
    UntrustedFile.readFully(faults, file, channel, header, Long.BYTES);
    return header.flip();
  }

  /**
   * Parses and checks the header of a file.
   *
   * @param faults whose file it is
   * @param file the file, for messages
   * @param header the header without its length
   * @param size the size of the file in bytes
   */
  public static SafetensorsHeader parse(Faults faults, Path file, ByteBuffer header, long size) {
    String where = file + ": header";
    if (header.get(header.position()) != '{') {
      throw faults.invalid(where, "it to begin with '{'", "another character");
    }
    long dataStart = (long) Long.BYTES + header.remaining();
    Map<String, Entry> tensors = new TreeMap<>();
    try (JsonParser json = JsonFile.parser(faults, where, header)) {
      new Reader(faults, where, json, dataStart, size).readInto(tensors);
    } catch (IOException e) {
      throw JsonFile.damaged(faults, where, e);
    }
    checkCoverage(faults, file, tensors, dataStart, size);
    return new SafetensorsHeader(tensors);
  }

  /** The data must cover the file without a gap, an overlap or a rest. */
  private static void checkCoverage(
      Faults faults, Path file, Map<String, Entry> tensors, long dataStart, long size) {
    List<Map.Entry<String, Entry>> sorted = new ArrayList<>(tensors.entrySet());
    sorted.sort(
        Comparator.comparingLong((Map.Entry<String, Entry> e) -> e.getValue().begin())
            .thenComparingLong(e -> e.getValue().end()));
    long at = dataStart;
    for (Map.Entry<String, Entry> entry : sorted) {
      long begin = entry.getValue().begin();
      if (begin != at) {
        throw faults.invalid(
            file + ": header: " + tensor(entry.getKey()) + ": data_offsets",
            "to begin at " + (at - dataStart) + ", without gap or overlap",
            begin - dataStart);
      }
      at = entry.getValue().end();
    }
    if (at != size) {
      throw faults.invalid(
          file,
          (at - dataStart) + " bytes of data after the header to end the file",
          size - dataStart);
    }
  }

  /** Returns how messages name a tensor. */
  public static String tensor(String name) {
    return "tensor '" + Faults.show(name) + "'";
  }

  /** Reads the JSON of a header token by token, so that nothing is built from what is not used. */
  private record Reader(Faults faults, String where, JsonParser json, long dataStart, long size) {
    void readInto(Map<String, Entry> tensors) throws IOException {
      expect(json.nextToken(), JsonToken.START_OBJECT, where);
      while (json.nextToken() != JsonToken.END_OBJECT) {
        String name = json.currentName();
        if (name.equals(METADATA)) {
          json.nextToken();
          json.skipChildren();
        } else {
          tensors.put(name, entry(where + ": " + tensor(name)));
          if (tensors.size() > MAX_TENSORS) {
            throw faults.invalid(where, "at most " + MAX_TENSORS + " tensors", "more");
          }
        }
      }
      if (json.nextToken() != null) {
        throw faults.invalid(where, "nothing after its closing brace", "more");
      }
    }

    private Entry entry(String at) throws IOException {
      expect(json.nextToken(), JsonToken.START_OBJECT, at);
      String type = "";
      List<Long> shape = List.of();
      List<Long> offsets = List.of();
      int seen = 0;
      while (json.nextToken() != JsonToken.END_OBJECT) {
        String key = json.currentName();
        switch (key) {
          case "dtype" -> {
            expect(json.nextToken(), JsonToken.VALUE_STRING, at + ": dtype");
            type = json.getText();
          }
          case "shape" -> shape = numbers(at + ": shape");
          case "data_offsets" -> offsets = numbers(at + ": data_offsets");
          default ->
              throw faults.invalid(at, "dtype, shape and data_offsets alone", "'" + key + "'");
        }
        seen++;
      }
      if (seen != 3) {
        throw faults.invalid(at, "dtype, shape and data_offsets", seen + " of them");
      }
      return checked(at, type(at + ": dtype", type), shape, offsets);
    }

    private StoredType type(String at, String name) {
      return StoredType.ofName(name)
          .orElseThrow(
              () ->
                  switch (faults) {
                    case MODEL -> // Jlama has more types of its own
                        faults.unsupported(at, "F32, F16, BF16 or Q4", name);
                    case ADAPTER, DATA, CONFIG -> faults.invalid(at, "F32, F16 or BF16", name);
                  });
    }

    private Entry checked(String at, StoredType type, List<Long> shape, List<Long> offsets) {
      if (offsets.size() != 2) {
        throw faults.invalid(at + ": data_offsets", "two numbers", offsets);
      }
      long begin = offsets.getFirst();
      long end = offsets.getLast();
      if (begin > end || end > size - dataStart) {
        throw faults.invalid(
            at + ": data_offsets",
            "a range within the " + (size - dataStart) + " bytes of data",
            offsets);
      }
      long bytes;
      try {
        bytes = type.byteSize(shape.stream().reduce(1L, Math::multiplyExact));
      } catch (ArithmeticException e) {
        throw faults.invalid(at + ": shape", "a product within 64 bits", shape, e);
      }
      if (bytes != end - begin) {
        throw faults.invalid(
            at + ": data_offsets",
            (bytes < 0 ? "whole" : bytes) + " bytes for " + type + shape,
            end - begin);
      }
      return new Entry(type, shape, dataStart + begin, dataStart + end);
    }

    private List<Long> numbers(String at) throws IOException {
      expect(json.nextToken(), JsonToken.START_ARRAY, at);
      List<Long> numbers = new ArrayList<>(2);
      while (json.nextToken() != JsonToken.END_ARRAY) {
        expect(json.currentToken(), JsonToken.VALUE_NUMBER_INT, at);
        if (json.getNumberType() == JsonParser.NumberType.BIG_INTEGER || json.getLongValue() < 0) {
          throw faults.invalid(at, "numbers from 0 to 2^63-1", json.getText());
        }
        if (numbers.size() == MAX_DIMENSIONS) {
          throw faults.invalid(at, "at most " + MAX_DIMENSIONS + " numbers", "more");
        }
        numbers.add(json.getLongValue());
      }
      return List.copyOf(numbers);
    }

    private void expect(JsonToken found, JsonToken expected, String at) {
      if (found != expected) {
        throw faults.invalid(at, word(expected), word(found));
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
