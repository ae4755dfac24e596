package dev.lorikeet.files.gguf;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.lorikeet.files.WholeFile;
import dev.lorikeet.files.safetensors.StoredType;
import java.io.BufferedOutputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.Channels;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * Writes GGUF files, version 3, with tensors at multiples of 32 bytes. Used by one thread.
 *
 * <p>A file has metadata and tensors in the order in which they were added; nobody checks that they
 * make a model.
 */
public final class GgufWriter {
  /** Brings forth the elements of a tensor. */
  @FunctionalInterface
  public interface Data {
    /** Writes exactly as many bytes as the tensor has, little-endian, row after row. */
    void writeTo(OutputStream output) throws IOException;
  }

  private record Tensor(String name, StoredType type, List<Long> shape, long bytes, Data data) {}

  private static final int VERSION = 3;
  private static final int ALIGNMENT = 32;
  private static final int UINT32 = 4;
  private static final int INT32 = 5;
  private static final int FLOAT32 = 6;
  private static final int BOOL = 7;
  private static final int STRING = 8;
  private static final int ARRAY = 9;
  private static final int BUFFER_BYTES = 1 << 18;

  private final ByteArrayOutputStream metadata = new ByteArrayOutputStream();
  private final List<Tensor> tensors = new ArrayList<>();
  private int entries;

  /** Creates a writer of a file without anything in it. */
  public GgufWriter() {}

  /** Adds a text. */
  public GgufWriter text(String key, String value) {
    entry(key, STRING);
    string(value);
    return this;
  }

  /** Adds a whole number, as an unsigned one of 32 bits. */
  public GgufWriter number(String key, int value) {
    entry(key, UINT32);
    number(value);
    return this;
  }

  /** Adds a number. */
  public GgufWriter decimal(String key, float value) {
    entry(key, FLOAT32);
    number(Float.floatToRawIntBits(value));
    return this;
  }

  /** Adds a truth value. */
  public GgufWriter flag(String key, boolean value) {
    entry(key, BOOL);
    metadata.write(value ? 1 : 0);
    return this;
  }

  /** Adds a list of texts. */
  public GgufWriter texts(String key, List<String> values) {
    array(key, STRING, values.size());
    values.forEach(this::string);
    return this;
  }

  /** Adds a list of whole numbers. */
  public GgufWriter numbers(String key, List<Integer> values) {
    array(key, INT32, values.size());
    values.forEach(this::number);
    return this;
  }

  /** Adds a list of numbers. */
  public GgufWriter decimals(String key, List<Float> values) {
    array(key, FLOAT32, values.size());
    values.forEach(value -> number(Float.floatToRawIntBits(value)));
    return this;
  }

  /**
   * Adds a tensor.
   *
   * @param shape its dimensions, slowest first as in Hugging Face
   * @param data called once for each file that is written
   * @throws IllegalArgumentException if GGUF files have no such type, or the elements do not fill
   *     whole blocks
   */
  public GgufWriter tensor(String name, StoredType type, List<Long> shape, Data data) {
    long bytes = type.byteSize(shape.stream().reduce(1L, Math::multiplyExact));
    if (bytes < 0 || GgmlTypes.number(type).isEmpty()) {
      throw new IllegalArgumentException(
          name + ": expected whole blocks of a type of GGUF's, found " + type + shape);
    }
    tensors.add(new Tensor(name, type, List.copyOf(shape), bytes, data));
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
  public void write(Path file) throws IOException {
    WholeFile.write(
        file,
        channel -> {
          OutputStream out =
              new BufferedOutputStream(Channels.newOutputStream(channel), BUFFER_BYTES);
          byte[] head = head();
          out.write(head);
          pad(out, head.length);
          for (Tensor tensor : tensors) {
            tensor.data().writeTo(out);
            pad(out, tensor.bytes());
          }
          out.flush();
        });
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
      for (long size : tensor.shape().reversed()) { // the fastest dimension comes first
        head.writeBytes(longs(size));
      }
      head.writeBytes(ints(GgmlTypes.number(tensor.type()).orElseThrow()));
      head.writeBytes(longs(offset));
      offset += tensor.bytes();
      offset += -offset & ALIGNMENT - 1;
    }
    return head.toByteArray();
  }

  private static void pad(OutputStream out, long written) throws IOException {
    out.write(new byte[(int) (-written & ALIGNMENT - 1)]);
  }
}
