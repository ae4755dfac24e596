package dev.lorikeet.bench.model;

import dev.lorikeet.files.safetensors.SafetensorsFile;
import dev.lorikeet.files.safetensors.StoredTensor;
import dev.lorikeet.files.safetensors.StoredType;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
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
  private static final ValueLayout.OfShort HALF =
      ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final ValueLayout.OfFloat SINGLE =
      ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  /**
   * A tensor.
   *
   * @param type {@code BF16}, {@code F16} or {@code F32}
   * @param shape its sizes, one or two
   * @param data its elements, row after row
   */
  record Tensor(StoredType type, List<Integer> shape, MemorySegment data) {
    int columns() {
      return shape.getLast();
    }

    float get(long index) {
      return switch (type) {
        case BF16 -> Float.intBitsToFloat(Short.toUnsignedInt(data.getAtIndex(HALF, index)) << 16);
        case F16 -> Float.float16ToFloat(data.getAtIndex(HALF, index));
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
        for (StoredTensor stored : SafetensorsFile.map(file, arena)) {
          all.tensors.put(stored.name(), tensor(stored));
        }
      }
    }
    if (all.tensors.isEmpty()) {
      throw new IOException(directory + ": expected safetensors files, found none");
    }
    return all;
  }

  private static Tensor tensor(StoredTensor stored) throws IOException {
    List<Integer> shape = new ArrayList<>();
    stored.shape().forEach(size -> shape.add(Math.toIntExact(size)));
    boolean known =
        switch (stored.type()) {
          case BF16, F16, F32 -> true;
          default -> false;
        };
    if (!known || shape.isEmpty() || shape.size() > 2) {
      throw new IOException(
          stored.where()
              + ": expected BF16, F16 or F32 of one or two sizes, found "
              + stored.form());
    }
    return new Tensor(stored.type(), List.copyOf(shape), stored.bytes());
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
