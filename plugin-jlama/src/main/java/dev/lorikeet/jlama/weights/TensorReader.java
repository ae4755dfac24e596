package dev.lorikeet.jlama.weights;

import dev.lorikeet.files.Faults;
import dev.lorikeet.files.safetensors.StoredTensor;
import dev.lorikeet.files.safetensors.StoredType;
import dev.lorikeet.jlama.kernel.BlockType;
import dev.lorikeet.jlama.kernel.WeightMatrix;
import dev.lorikeet.tensor.ElementType;
import java.lang.System.Logger.Level;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.Predicate;

/**
 * Takes stored tensors by name, holds each to its shape, and remembers what was taken. Or makes
 * them of zeros, for a model that is not there.
 */
final class TensorReader {
  private static final System.Logger LOG = System.getLogger(TensorReader.class.getName());
  private static final String SCALES = ".qb";
  private static final int NAMES_IN_MESSAGE = 3;
  private static final int ALIGNMENT = 64;
  private static final int SQUARE = 32;

  private final Path directory;
  private final Map<String, StoredTensor> stored;
  private final Arena arena;
  private final Optional<StoredType> blank;
  private final Set<String> taken = new HashSet<>();

  TensorReader(Path directory, Map<String, StoredTensor> stored, Arena arena) {
    this(directory, stored, arena, Optional.empty());
  }

  private TensorReader(
      Path directory, Map<String, StoredTensor> stored, Arena arena, Optional<StoredType> blank) {
    this.directory = directory;
    this.stored = stored;
    this.arena = arena;
    this.blank = blank;
  }

  /** Returns a reader of zeros: every matrix in this type, every vector in F32. */
  static TensorReader blank(StoredType matrices, Arena arena) {
    return new TensorReader(Path.of("blank"), Map.of(), arena, Optional.of(matrices));
  }

  /** Returns a matrix in its stored form. */
  WeightMatrix matrix(String name, int rows, int columns) {
    StoredTensor tensor = take(name, blank, rows, columns);
    expectShape(tensor, List.of((long) rows, (long) columns));
    return switch (tensor.type()) {
      case Q4 -> q4(tensor, name, rows, columns);
      case Q4_0 -> repacked(tensor, rows, columns);
      case Q8_0 -> new WeightMatrix.Blocks(tensor.bytes(), BlockType.Q8_0, rows, columns);
      case Q5_0 -> new WeightMatrix.Blocks(tensor.bytes(), BlockType.Q5_0, rows, columns);
      case Q5_K -> new WeightMatrix.Blocks(tensor.bytes(), BlockType.Q5_K, rows, columns);
      case Q4_K -> new WeightMatrix.Blocks(tensor.bytes(), BlockType.Q4_K, rows, columns);
      case Q6_K -> new WeightMatrix.Blocks(tensor.bytes(), BlockType.Q6_K, rows, columns);
      default -> WeightMatrix.of(tensor.bytes(), elementType(tensor), rows, columns);
    };
  }

  /**
   * Takes the blocks of GGUF's Q4_0 apart: they hold what Jlama's Q4 does, in the same order, but
   * for the scale, which is in binary16 and before the elements. Nothing is rounded.
   */
  private WeightMatrix repacked(StoredTensor tensor, int rows, int columns) {
    long blocks = (long) rows * (columns / WeightMatrix.Q4_BLOCK);
    int half = WeightMatrix.Q4_BLOCK / 2;
    MemorySegment nibbles = arena.allocate(blocks * half, ALIGNMENT);
    MemorySegment scales = arena.allocate(blocks * Float.BYTES, ALIGNMENT);
    long from = 0;
    for (long block = 0; block < blocks; block++) {
      float scale = ElementType.F16.read(tensor.bytes(), from);
      scales.setAtIndex(ValueLayout.JAVA_FLOAT, block, scale);
      MemorySegment.copy(tensor.bytes(), from + Short.BYTES, nibbles, block * half, half);
      from += Short.BYTES + half;
    }
    return new WeightMatrix.Q4(nibbles, scales, rows, columns);
  }

  private WeightMatrix q4(StoredTensor tensor, String name, int rows, int columns) {
    if (columns % WeightMatrix.Q4_BLOCK != 0) {
      throw Faults.MODEL.invalid(tensor.where(), "columns in blocks of 32 for Q4", tensor.form());
    }
    StoredTensor scales =
        take(name + SCALES, blank.map(q4 -> StoredType.F32), rows, columns / WeightMatrix.Q4_BLOCK);
    expectShape(scales, List.of((long) rows, (long) columns / WeightMatrix.Q4_BLOCK));
    if (scales.type() != StoredType.F32) {
      throw Faults.MODEL.invalid(scales.where(), "F32", scales.form());
    }
    return new WeightMatrix.Q4(tensor.bytes(), scales.bytes(), rows, columns);
  }

  /**
   * Returns a matrix that is stored by columns, {@code [columns, rows]}; a copy, in its stored
   * type.
   */
  WeightMatrix transposed(String name, int rows, int columns) {
    StoredTensor tensor = take(name, blank, columns, rows);
    if (tensor.type() == StoredType.Q4 || tensor.type().inBlocks()) {
      throw Faults.MODEL.unsupported(
          tensor.where() + ": dtype",
          "F32, F16 or BF16, as the matrix is stored by columns",
          tensor.type());
    }
    expectShape(tensor, List.of((long) columns, (long) rows));
    ElementType type = elementType(tensor);
    long size = type.bytes();
    MemorySegment from = tensor.bytes();
    MemorySegment to = arena.allocate((long) rows * columns * size, ALIGNMENT);
    for (int firstRow = 0; firstRow < rows; firstRow += SQUARE) {
      int endRow = Math.min(rows, firstRow + SQUARE);
      for (int column = 0; column < columns; column++) {
        for (int row = firstRow; row < endRow; row++) {
          long source = ((long) column * rows + row) * size;
          MemorySegment.copy(from, source, to, ((long) row * columns + column) * size, size);
        }
      }
    }
    return WeightMatrix.of(to, type, rows, columns);
  }

  /** Returns whether a tensor is there that is not the same as a matrix; warns of it then. */
  boolean differs(String name, WeightMatrix matrix) {
    StoredTensor tensor = stored.get(name);
    if (tensor == null
        || !tensor.shape().equals(List.of((long) matrix.rows(), (long) matrix.columns()))
        || tensor.type() == StoredType.Q4
        || tensor.type().inBlocks()
        || (matrix instanceof WeightMatrix.Floats floats
            && floats.segment().mismatch(tensor.bytes()) < 0)) {
      return false;
    }
    LOG.log(
        Level.WARNING,
        "{0}: tie_word_embeddings is true, but {1} is not the embedding; it is used as stored",
        tensor.file(),
        name);
    return true;
  }

  /** Returns a vector; see {@link #vector(String, int, double)}. */
  MemorySegment vector(String name, int length) {
    return vector(name, length, 0);
  }

  /**
   * Returns a vector widened to aligned float32 in native order. Jlama stores vectors as {@code [1,
   * n]}.
   *
   * @param offset added to every element
   */
  MemorySegment vector(String name, int length, double offset) {
    StoredTensor tensor = take(name, blank.map(matrices -> StoredType.F32), length);
    if (!tensor.shape().equals(List.of(1L, (long) length))) {
      expectShape(tensor, List.of((long) length));
    }
    ElementType type = elementType(tensor);
    MemorySegment wide = arena.allocate(ValueLayout.JAVA_FLOAT, length);
    for (int i = 0; i < length; i++) {
      float value = type.read(tensor.bytes(), (long) i * type.bytes());
      wide.setAtIndex(ValueLayout.JAVA_FLOAT, i, (float) (value + offset));
    }
    return wide;
  }

  /** Refuses what nothing has taken, lest weights that matter are passed over in silence. */
  void refuseUnread(Predicate<String> harmless) {
    List<StoredTensor> extra =
        stored.entrySet().stream()
            .filter(entry -> !taken.contains(entry.getKey()) && !harmless.test(entry.getKey()))
            .map(Map.Entry::getValue)
            .toList();
    if (!extra.isEmpty()) {
      List<String> some =
          extra.stream().map(StoredTensor::name).sorted().limit(NAMES_IN_MESSAGE).toList();
      String found = extra.size() + " more: " + Faults.show(String.join(", ", some));
      throw Faults.MODEL.invalid(directory, "only the tensors that config.json calls for", found);
    }
  }

  /** Takes a tensor that is stored, or makes one of zeros if a type is given. */
  private StoredTensor take(String name, Optional<StoredType> zeros, long... shape) {
    if (zeros.isPresent()) {
      long bytes = zeros.get().byteSize(Arrays.stream(shape).reduce(1, Math::multiplyExact));
      return new StoredTensor(
          name,
          directory,
          zeros.get(),
          Arrays.stream(shape).boxed().toList(),
          arena.allocate(bytes, ALIGNMENT));
    }
    StoredTensor tensor = stored.get(name);
    if (tensor == null) {
      throw Faults.MODEL.invalid(directory, "a tensor " + name, "nothing");
    }
    taken.add(name);
    return tensor;
  }

  private static void expectShape(StoredTensor tensor, List<Long> expected) {
    if (!tensor.shape().equals(expected)) {
      throw Faults.MODEL.invalid(
          tensor.where(), "shape " + expected + " by config.json", tensor.form());
    }
  }

  private static ElementType elementType(StoredTensor tensor) {
    return switch (tensor.type()) {
      case F32 -> ElementType.F32;
      case F16 -> ElementType.F16;
      case BF16 -> ElementType.BF16;
      default ->
          throw Faults.MODEL.unsupported(
              tensor.where() + ": dtype",
              "F32, F16, BF16 or Q4, Q4 for a matrix alone",
              tensor.form());
    };
  }
}
