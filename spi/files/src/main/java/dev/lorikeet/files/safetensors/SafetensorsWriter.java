package dev.lorikeet.files.safetensors;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import dev.lorikeet.files.WholeFile;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashSet;
import java.util.List;
import java.util.Set;

/**
 * Writes safetensors files, a tensor at a time. Used by one thread.
 *
 * <p>As Hugging Face's own writer does, it sorts tensors by the width of their elements, widest
 * first, then by name, and fills the header with spaces to a multiple of eight bytes, so that every
 * element lies at a multiple of its width. The same tensors give the same file, in whatever order
 * they are added. Files hold the tensors of Hugging Face's {@code transformers} and PEFT, whose
 * readers ask for the metadata {@code format: pt}.
 */
public final class SafetensorsWriter {
  private static final int CHUNK_BYTES = 1 << 18;

  /** Brings forth the elements of a tensor. */
  @FunctionalInterface
  public interface Data {
    /** Writes exactly as many bytes as the tensor has, little-endian, row after row. */
    void writeTo(Output output) throws IOException;
  }

  private record Tensor(String name, StoredType type, List<Long> shape, long bytes, Data data) {}

  private final List<Tensor> tensors = new ArrayList<>();
  private final Set<String> names = new HashSet<>();

  /** Creates a writer without tensors. */
  public SafetensorsWriter() {}

  /**
   * Adds a tensor whose elements are made as they are written.
   *
   * @param name its name
   * @param type the type of its elements
   * @param shape its dimensions, none below 0; empty for a scalar
   * @param data called once for each file that is written
   * @return this writer
   * @throws IllegalArgumentException if there is a tensor of that name, the elements do not fill
   *     whole bytes, or the type is one of blocks
   */
  public SafetensorsWriter add(String name, StoredType type, List<Long> shape, Data data) {
    long elements = 1;
    for (long dimension : shape) {
      if (dimension < 0) {
        throw new IllegalArgumentException(
            name + ": shape: expected no dimension below 0, found " + shape);
      }
      elements = Math.multiplyExact(elements, dimension);
    }
    if (type.inBlocks()) {
      throw new IllegalArgumentException(
          name + ": expected a type that safetensors has, found " + type);
    }
    long bytes = type.byteSize(elements);
    if (bytes < 0) {
      throw new IllegalArgumentException(
          name + ": shape: expected whole bytes of " + type + ", found " + shape);
    }
    if (!names.add(name)) {
      throw new IllegalArgumentException(name + ": expected each tensor once, found it twice");
    }
    tensors.add(new Tensor(name, type, List.copyOf(shape), bytes, data));
    return this;
  }

  /**
   * Adds a tensor that lies in memory as it shall in the file.
   *
   * @param elements the elements, little-endian; must stay as they are until the file is written
   */
  public SafetensorsWriter add(
      String name, StoredType type, List<Long> shape, MemorySegment elements) {
    return add(name, type, shape, output -> output.write(elements));
  }

  /** Adds a tensor of float32, which must stay as it is until the file is written. */
  public SafetensorsWriter add(String name, List<Long> shape, float[] elements) {
    return add(
        name,
        StoredType.F32,
        shape,
        output -> {
          for (float element : elements) {
            output.writeFloat(element);
          }
        });
  }

  /**
   * Writes the file, whole or not at all; one of that name is replaced.
   *
   * @throws IOException if it cannot be written
   * @throws IllegalStateException if a tensor's data has another size than its shape
   */
  public void write(Path file) throws IOException {
    WholeFile.write(file, this::writeTo);
  }

  /** Writes to a channel of one's own, from its position on. */
  public void writeTo(FileChannel channel) throws IOException {
    List<Tensor> sorted = new ArrayList<>(tensors);
    sorted.sort(
        Comparator.comparingInt((Tensor tensor) -> -tensor.type().bits())
            .thenComparing(Tensor::name));
    Output output = new Output(channel);
    byte[] header = header(sorted);
    output.writeLong(header.length);
    output.write(MemorySegment.ofArray(header));
    for (Tensor tensor : sorted) {
      long begin = output.written;
      tensor.data().writeTo(output);
      if (output.written - begin != tensor.bytes()) {
        throw new IllegalStateException(
            tensor.name()
                + ": expected "
                + tensor.bytes()
                + " bytes for "
                + tensor.type()
                + tensor.shape()
                + ", found "
                + (output.written - begin));
      }
    }
    output.flush();
  }

  private static byte[] header(List<Tensor> sorted) {
    var text = new ByteArrayOutputStream();
    try (JsonGenerator json = new JsonFactory().createGenerator(text)) {
      json.writeStartObject();
      json.writeObjectFieldStart("__metadata__");
      json.writeStringField("format", "pt");
      json.writeEndObject();
      long at = 0;
      for (Tensor tensor : sorted) {
        json.writeObjectFieldStart(tensor.name());
        json.writeStringField("dtype", tensor.type().name());
        json.writeArrayFieldStart("shape");
        for (long dimension : tensor.shape()) {
          json.writeNumber(dimension);
        }
        json.writeEndArray();
        json.writeArrayFieldStart("data_offsets");
        json.writeNumber(at);
        at = Math.addExact(at, tensor.bytes());
        json.writeNumber(at);
        json.writeEndArray();
        json.writeEndObject();
      }
      json.writeEndObject();
    } catch (IOException e) {
      throw new UncheckedIOException(e); // memory does not fail
    }
    while (text.size() % Long.BYTES != 0) {
      text.write(' ');
    }
    return text.toByteArray();
  }

  /** Where elements go: little-endian, gathered to large writes. */
  public static final class Output {
    private final FileChannel channel;
    private final ByteBuffer chunk =
        ByteBuffer.allocateDirect(CHUNK_BYTES).order(ByteOrder.LITTLE_ENDIAN);
    private long written;

    private Output(FileChannel channel) {
      this.channel = channel;
    }

    /** Writes bytes as they are. */
    public void write(MemorySegment bytes) throws IOException {
      for (long at = 0; at < bytes.byteSize(); ) {
        ByteBuffer to = room(1);
        int count = (int) Math.min(to.remaining(), bytes.byteSize() - at);
        MemorySegment.copy(bytes, at, MemorySegment.ofBuffer(to), 0, count);
        to.position(to.position() + count);
        at += count;
      }
      written += bytes.byteSize();
    }

    /** Writes the 16 bits of an F16 or BF16. */
    public void writeShort(short bits) throws IOException {
      room(Short.BYTES).putShort(bits);
      written += Short.BYTES;
    }

    /** Writes an F32. */
    public void writeFloat(float value) throws IOException {
      room(Float.BYTES).putFloat(value);
      written += Float.BYTES;
    }

    private void writeLong(long value) throws IOException {
      room(Long.BYTES).putLong(value);
      written += Long.BYTES;
    }

    private ByteBuffer room(int bytes) throws IOException {
      if (chunk.remaining() < bytes) {
        flush();
      }
      return chunk;
    }

    private void flush() throws IOException {
      chunk.flip();
      while (chunk.hasRemaining()) {
        channel.write(chunk);
      }
      chunk.clear();
    }
  }
}
