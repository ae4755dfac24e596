package dev.lorikeet.conformance.files;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.lorikeet.conformance.tensor.ElementCodec;
import dev.lorikeet.tensor.ElementType;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.stream.IntStream;

/**
 * A safetensors file in the making: eight bytes of header length, a JSON header, the data. What the
 * header says can be bent before it is written.
 */
public final class Safetensors {
  static final ObjectMapper JSON = new ObjectMapper();

  private final Map<String, Map<String, Object>> header = new LinkedHashMap<>();
  private final ByteArrayOutputStream data = new ByteArrayOutputStream();

  /** Adds a tensor whose rows are given, rounded to a type. */
  public Safetensors add(String name, ElementType type, float[][] rows) {
    return add(name, type, new long[] {rows.length, rows[0].length}, flatten(rows));
  }

  private static float[] flatten(float[][] rows) {
    int columns = rows[0].length;
    float[] values = new float[rows.length * columns];
    for (int i = 0; i < rows.length; i++) {
      System.arraycopy(rows[i], 0, values, i * columns, columns);
    }
    return values;
  }

  /** Adds a tensor, rounded to a type. */
  public Safetensors add(String name, ElementType type, long[] shape, float[] values) {
    byte[] bytes = new byte[values.length * type.bytes()];
    MemorySegment memory = MemorySegment.ofArray(bytes);
    for (int i = 0; i < values.length; i++) {
      ElementCodec.set(memory, type, i, values[i]);
    }
    Map<String, Object> entry = new LinkedHashMap<>();
    entry.put("dtype", type.name());
    entry.put("shape", shape);
    entry.put("data_offsets", new long[] {data.size(), (long) data.size() + bytes.length});
    header.put(name, entry);
    data.writeBytes(bytes);
    return this;
  }

  /** Returns the header, to be bent. */
  public Map<String, Map<String, Object>> header() {
    return header;
  }

  /** Returns the header's entry of a tensor, to be bent. */
  public Map<String, Object> entry(String name) {
    Map<String, Object> entry = header.get(name);
    if (entry == null) {
      throw new IllegalArgumentException("no tensor " + name);
    }
    return entry;
  }

  public int dataSize() {
    return data.size();
  }

  String headerText() {
    try {
      return JSON.writeValueAsString(header);
    } catch (JsonProcessingException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** Returns the whole file. */
  public byte[] bytes() {
    String text = headerText();
    // The format wants the data aligned to eight bytes; writers pad the header with blanks.
    int padding = -text.getBytes(StandardCharsets.UTF_8).length & 7;
    byte[] head = (text + " ".repeat(padding)).getBytes(StandardCharsets.UTF_8);
    return bytes(head.length, head);
  }

  /** Returns a file whose length field and header are given. */
  public byte[] bytes(long headerLength, byte[] head) {
    return ByteBuffer.allocate(8 + head.length + data.size())
        .order(ByteOrder.LITTLE_ENDIAN)
        .putLong(headerLength)
        .put(head)
        .put(data.toByteArray())
        .array();
  }

  public void write(Path file) {
    write(file, bytes());
  }

  public static void write(Path file, byte[] bytes) {
    try {
      Files.write(file, bytes);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  public static void writeJson(Path file, Object value) {
    try {
      write(file, JSON.writerWithDefaultPrettyPrinter().writeValueAsBytes(value));
    } catch (JsonProcessingException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** Returns rows and columns exchanged. */
  static float[][] transposed(float[][] rows) {
    float[][] columns = new float[rows[0].length][rows.length];
    for (int i = 0; i < rows.length; i++) {
      for (int j = 0; j < columns.length; j++) {
        columns[j][i] = rows[i][j];
      }
    }
    return columns;
  }

  /** Returns a text that is a prefix of many others, for headers that must not be parsed deeply. */
  static String nested(int depth) {
    return IntStream.range(0, depth)
        .mapToObj(i -> "[")
        .collect(java.util.stream.Collectors.joining());
  }

  /** Returns the first bytes of a file. */
  public static byte[] truncated(byte[] bytes, int missing) {
    return Arrays.copyOf(bytes, bytes.length - missing);
  }
}
