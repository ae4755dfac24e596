package dev.lorikeet.jlama.loading;

import com.github.tjake.jlama.safetensors.DType;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.List;

/**
 * A tensor as a file stores it.
 *
 * @param name its name in the file
 * @param file the file
 * @param type the element type
 * @param shape the dimensions
 * @param bytes the mapped elements, exactly as many as the shape needs; any alignment
 */
record StoredTensor(String name, Path file, DType type, List<Long> shape, MemorySegment bytes) {

  /** Returns the size of so many elements, or -1 where they do not fill whole bytes. */
  static long byteSize(DType type, long elements) {
    if (type == DType.Q4) {
      return elements % 2 == 0 ? elements / 2 : -1;
    }
    return Math.multiplyExact(elements, type.size());
  }

  /** Returns file and name, for errors. */
  String where() {
    return file + ": " + name;
  }

  /** Returns type and shape, for errors. */
  String form() {
    return type.toString() + shape;
  }
}
