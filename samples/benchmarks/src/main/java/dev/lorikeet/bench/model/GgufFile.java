package dev.lorikeet.bench.model;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.lorikeet.tensor.ElementType;
import java.io.BufferedOutputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.List;
import java.util.function.IntUnaryOperator;

/**
 * Writes GGUF files, version 3: a header, metadata, descriptions of tensors, and their elements at
 * multiples of 32 bytes.
 *
 * @see <a href="https://github.com/ggml-org/ggml/blob/master/docs/gguf.md">the format</a>
 */
final class GgufFile {
  /** Gives the element at an index, row after row. */
  interface Elements {
    float get(long index);
  }

  private record Tensor(String name, List<Integer> shape, ElementType type, Elements elements) {
    long count() {
      return shape.stream().mapToLong(Integer::longValue).reduce(1, (a, b) -> a * b);
    }
  }

  private static final int VERSION = 3;
  private static final int ALIGNMENT = 32;
  private static final int UINT32 = 4;
  private static final int INT32 = 5;
  private static final int FLOAT32 = 6;
  private static final int BOOL = 7;
  private static final int STRING = 8;
  private static final int ARRAY = 9;
  private static final int CHUNK_BYTES = 1 << 20;

  private final ByteArrayOutputStream metadata = new ByteArrayOutputStream();
  private final List<Tensor> tensors = new ArrayList<>();
  private int entries;

  GgufFile text(String key, String value) {
    entry(key, STRING);
    string(value);
    return this;
  }

  GgufFile number(String key, int value) {
    entry(key, UINT32);
    number(value);
    return this;
  }

  GgufFile decimal(String key, float value) {
    entry(key, FLOAT32);
    number(Float.floatToRawIntBits(value));
    return this;
  }

  GgufFile flag(String key, boolean value) {
    entry(key, BOOL);
    metadata.write(value ? 1 : 0);
    return this;
  }

  GgufFile texts(String key, List<String> values) {
    array(key, STRING, values.size());
    values.forEach(this::string);
    return this;
  }

  GgufFile numbers(String key, List<Integer> values) {
    array(key, INT32, values.size());
    values.forEach(this::number);
    return this;
  }

  GgufFile decimals(String key, List<Float> values) {
    array(key, FLOAT32, values.size());
    values.forEach(value -> number(Float.floatToRawIntBits(value)));
    return this;
  }

  /** Adds a tensor of the given sizes, slowest first as in Hugging Face. */
  GgufFile tensor(String name, List<Integer> shape, ElementType type, Elements elements) {
    tensors.add(new Tensor(name, List.copyOf(shape), type, elements));
    return this;
  }

  private void entry(String key, int type) {
    entries++;
    string(key);
    number(type);
  }

  private void array(String key, int type, int length) {
    entry(key, ARRAY);
    number(type);
    metadata.writeBytes(longs(length));
  }

  private void string(String value) {
    byte[] bytes = value.getBytes(UTF_8);
    metadata.writeBytes(longs(bytes.length));
    metadata.writeBytes(bytes);
  }

  private void number(int value) {
    metadata.writeBytes(ints(value));
  }

  private static byte[] ints(int value) {
    return little(Integer.BYTES).putInt(value).array();
  }

  private static byte[] longs(long value) {
    return little(Long.BYTES).putLong(value).array();
  }

  private static ByteBuffer little(int bytes) {
    return ByteBuffer.allocate(bytes).order(ByteOrder.LITTLE_ENDIAN);
  }

  /** Writes the file, whole or not at all. */
  void write(Path file) throws IOException {
    Path unfinished = file.resolveSibling(file.getFileName() + ".part");
    try (OutputStream out =
        new BufferedOutputStream(Files.newOutputStream(unfinished), CHUNK_BYTES)) {
      byte[] head = head();
      out.write(head);
      pad(out, head.length);
      for (Tensor tensor : tensors) {
        elements(out, tensor);
        pad(out, tensor.count() * tensor.type().bytes());
      }
    }
    Files.move(unfinished, file, StandardCopyOption.REPLACE_EXISTING);
  }

  private byte[] head() {
    ByteArrayOutputStream head = new ByteArrayOutputStream();
    head.writeBytes("GGUF".getBytes(UTF_8));
    head.writeBytes(ints(VERSION));
    head.writeBytes(longs(tensors.size()));
    head.writeBytes(longs(entries));
    head.writeBytes(metadata.toByteArray());
    long offset = 0;
    for (Tensor tensor : tensors) {
      byte[] name = tensor.name().getBytes(UTF_8);
      head.writeBytes(longs(name.length));
      head.writeBytes(name);
      head.writeBytes(ints(tensor.shape().size()));
      for (int size : tensor.shape().reversed()) { // the fastest dimension comes first
        head.writeBytes(longs(size));
      }
      head.writeBytes(ints(code(tensor.type())));
      head.writeBytes(longs(offset));
      offset += tensor.count() * tensor.type().bytes();
      offset += -offset & ALIGNMENT - 1;
    }
    return head.toByteArray();
  }

  private static void pad(OutputStream out, long written) throws IOException {
    out.write(new byte[(int) (-written & ALIGNMENT - 1)]);
  }

  /** Returns the number of a type in the format. */
  private static int code(ElementType type) {
    return switch (type) {
      case F32 -> 0;
      case F16 -> 1;
      case BF16 -> 30;
    };
  }

  private static void elements(OutputStream out, Tensor tensor) throws IOException {
    byte[] bytes = new byte[CHUNK_BYTES];
    MemorySegment chunk = MemorySegment.ofArray(bytes);
    int at = 0;
    for (long i = 0; i < tensor.count(); i++) {
      tensor.type().write(chunk, at, tensor.elements().get(i));
      at += tensor.type().bytes();
      if (at == bytes.length) {
        out.write(bytes);
        at = 0;
      }
    }
    out.write(bytes, 0, at);
  }

  /** Returns the elements of a matrix whose rows are taken in another order. */
  static Elements rows(Elements elements, int columns, IntUnaryOperator sourceRow) {
    return index ->
        elements.get(
            (long) sourceRow.applyAsInt((int) (index / columns)) * columns + index % columns);
  }
}
