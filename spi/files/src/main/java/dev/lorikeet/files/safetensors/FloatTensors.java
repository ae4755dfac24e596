package dev.lorikeet.files.safetensors;

import dev.lorikeet.files.Faults;
import dev.lorikeet.tensor.ElementType;
import java.lang.foreign.Arena;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/** Small safetensors files, such as those of a router's gate, read into arrays of float32. */
public final class FloatTensors {
  private static final long MAX_ELEMENTS = 1L << 26;

  /** So that the elements take up to half of the heap. */
  private static final int HEAP_PER_ELEMENT = 2 * Float.BYTES;

  private FloatTensors() {}

  /**
   * Reads a file that must hold exactly the tensors of these names and shapes, of type F32, F16 or
   * BF16, all finite, and small: 2<sup>26</sup> elements in all, or half of the heap. Nothing is
   * allocated for a tensor before its shape was found in the file.
   *
   * @return the elements by name, the last dimension varying fastest
   * @throws dev.lorikeet.LorikeetException with code {@code MODEL_INVALID} or {@code
   *     MODEL_UNSUPPORTED}; names the file and the tensor
   */
  public static Map<String, float[]> read(Path file, Map<String, List<Long>> shapes) {
    checkSize(file, shapes);
    try (Arena arena = Arena.ofConfined()) {
      Map<String, float[]> found = new HashMap<>();
      for (StoredTensor tensor : SafetensorsFile.map(file, arena)) {
        List<Long> shape = shapes.get(tensor.name());
        if (shape == null) {
          throw Faults.MODEL.invalid(
              file,
              "the tensors " + shapes.keySet().stream().sorted().toList() + " alone",
              tensor.name());
        }
        if (!tensor.shape().equals(shape)) {
          throw Faults.MODEL.invalid(tensor.where(), "shape " + shape, tensor.form());
        }
        found.put(tensor.name(), elements(tensor));
      }
      for (String name : shapes.keySet().stream().sorted().toList()) {
        if (!found.containsKey(name)) {
          throw Faults.MODEL.invalid(file, "a tensor " + name, "nothing");
        }
      }
      return found;
    }
  }

  private static void checkSize(Path file, Map<String, List<Long>> shapes) {
    long most = Math.min(MAX_ELEMENTS, Runtime.getRuntime().maxMemory() / HEAP_PER_ELEMENT);
    double elements = 0;
    for (List<Long> shape : shapes.values()) {
      elements += shape.stream().mapToDouble(Long::doubleValue).reduce(1, (a, b) -> a * b);
    }
    if (elements > most) {
      throw Faults.MODEL.invalid(
          file,
          "tensors of at most " + most + " elements in all",
          String.format(Locale.ROOT, "%.0f", elements));
    }
  }

  private static float[] elements(StoredTensor tensor) {
    ElementType type = type(tensor);
    long count = tensor.bytes().byteSize() / type.bytes();
    if (count > Integer.MAX_VALUE - 8) {
      throw Faults.MODEL.invalid(tensor.where(), "fewer than 2^31 elements", tensor.form());
    }
    float[] values = new float[(int) count];
    for (int i = 0; i < values.length; i++) {
      values[i] = type.read(tensor.bytes(), (long) i * type.bytes());
      if (!Float.isFinite(values[i])) {
        throw Faults.MODEL.invalid(
            tensor.where(), "finite numbers", values[i] + " at element " + i);
      }
    }
    return values;
  }

  private static ElementType type(StoredTensor tensor) {
    return switch (tensor.type()) {
      case F32 -> ElementType.F32;
      case F16 -> ElementType.F16;
      case BF16 -> ElementType.BF16;
      default -> throw Faults.MODEL.unsupported(tensor.where(), "F32, F16 or BF16", tensor.form());
    };
  }
}
