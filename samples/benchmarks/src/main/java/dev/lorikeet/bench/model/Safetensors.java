package dev.lorikeet.bench.model;

import static java.nio.charset.StandardCharsets.UTF_8;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.TreeMap;

/**
 * The tensors of all safetensors files of a directory, mapped. The arena that they were mapped into
 * ends them.
 */
final class Safetensors {
  private static final ValueLayout.OfLong LENGTH =
      ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final ValueLayout.OfShort HALF =
      ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final ValueLayout.OfFloat SINGLE =
      ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final long MAX_HEADER_BYTES = 100L << 20;

  /**
   * A tensor.
   *
   * @param name its name
   * @param type {@code BF16}, {@code F16} or {@code F32}
   * @param shape its sizes, one or two
   * @param data its elements, row after row
   */
  record Tensor(String name, String type, List<Integer> shape, MemorySegment data) {
    int rows() {
      return shape.size() == 1 ? 1 : shape.getFirst();
    }

    int columns() {
      return shape.getLast();
    }

    float get(long index) {
      return switch (type) {
        case "BF16" ->
            Float.intBitsToFloat(Short.toUnsignedInt(data.getAtIndex(HALF, index)) << 16);
        case "F16" -> Float.float16ToFloat(data.getAtIndex(HALF, index));
        default -> data.getAtIndex(SINGLE, index);
      };
    }
  }

  private final TreeMap<String, Tensor> tensors = new TreeMap<>();

  private Safetensors() {}

  static Safetensors map(Path directory, Arena arena) throws IOException {
    Safetensors all = new Safetensors();
    try (DirectoryStream<Path> files = Files.newDirectoryStream(directory, "*.safetensors")) {
      for (Path file : files) {
        all.add(file, arena);
      }
    }
    if (all.tensors.isEmpty()) {
      throw new IOException(directory + ": expected safetensors files, found none");
    }
    return all;
  }

  private void add(Path file, Arena arena) throws IOException {
    MemorySegment mapped;
    try (FileChannel channel = FileChannel.open(file)) {
      mapped = channel.map(FileChannel.MapMode.READ_ONLY, 0, channel.size(), arena);
    }
    long room = mapped.byteSize() - Long.BYTES;
    long length = room < 0 ? -1 : mapped.get(LENGTH, 0);
    if (length < 2 || length > Math.min(room, MAX_HEADER_BYTES)) {
      throw new IOException(file + ": header: expected up to " + room + " bytes, found " + length);
    }
    byte[] header = mapped.asSlice(Long.BYTES, length).toArray(ValueLayout.JAVA_BYTE);
    MemorySegment data = mapped.asSlice(Long.BYTES + length);
    for (var entry : new ObjectMapper().readTree(new String(header, UTF_8)).properties()) {
      if (!entry.getKey().equals("__metadata__")) {
        tensors.put(entry.getKey(), tensor(file, entry.getKey(), entry.getValue(), data));
      }
    }
  }

  private static Tensor tensor(Path file, String name, JsonNode entry, MemorySegment data)
      throws IOException {
    String type = entry.path("dtype").asText();
    List<Integer> shape = new ArrayList<>();
    entry.path("shape").forEach(size -> shape.add(size.asInt()));
    long bytes = type.equals("F32") ? Float.BYTES : Short.BYTES;
    for (int size : shape) {
      bytes *= size;
    }
    long begin = entry.path("data_offsets").path(0).asLong(-1);
    long end = entry.path("data_offsets").path(1).asLong(-1);
    if (!List.of("BF16", "F16", "F32").contains(type)
        || shape.isEmpty()
        || shape.size() > 2
        || begin < 0
        || end > data.byteSize()
        || end - begin != bytes) {
      throw new IOException(
          file
              + ": "
              + name
              + ": expected BF16, F16 or F32 of one or two sizes within the file, found "
              + entry);
    }
    return new Tensor(name, type, List.copyOf(shape), data.asSlice(begin, bytes));
  }

  Optional<Tensor> find(String name) {
    return Optional.ofNullable(tensors.get(name));
  }

  Tensor get(String name) throws IOException {
    Tensor tensor = tensors.get(name);
    if (tensor == null) {
      throw new IOException("expected a tensor " + name + ", found none of that name");
    }
    return tensor;
  }
}
