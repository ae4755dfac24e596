package dev.lorikeet.files.safetensors;

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
public record StoredTensor(
    String name, Path file, StoredType type, List<Long> shape, MemorySegment bytes) {

  /** Returns file and name, for errors. */
  public String where() {
    return file + ": " + name;
  }

  /** Returns type and shape, for errors. */
  public String form() {
    return type.toString() + shape;
  }
}
