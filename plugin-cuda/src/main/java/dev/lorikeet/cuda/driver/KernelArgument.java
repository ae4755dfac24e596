package dev.lorikeet.cuda.driver;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;

import dev.lorikeet.cuda.binding.CudaDriver;
import java.lang.foreign.Arena;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemoryLayout.PathElement;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.StructLayout;

/**
 * Host memory for the one structure that a kernel takes, and for how it is launched; reused from
 * launch to launch.
 */
public final class KernelArgument {
  /** {@code CUlaunchConfig}. */
  static final StructLayout CONFIG =
      MemoryLayout.structLayout(
          JAVA_INT.withName("gridDimX"),
          JAVA_INT.withName("gridDimY"),
          JAVA_INT.withName("gridDimZ"),
          JAVA_INT.withName("blockDimX"),
          JAVA_INT.withName("blockDimY"),
          JAVA_INT.withName("blockDimZ"),
          JAVA_INT.withName("sharedMemBytes"),
          MemoryLayout.paddingLayout(4),
          ADDRESS.withName("hStream"),
          ADDRESS.withName("attrs"),
          JAVA_INT.withName("numAttrs"),
          MemoryLayout.paddingLayout(4));

  /** {@code CUlaunchAttribute}; its value is a union of 64 bytes, here used as an int. */
  static final StructLayout ATTRIBUTE =
      MemoryLayout.structLayout(
          JAVA_INT.withName("id"),
          MemoryLayout.paddingLayout(4),
          JAVA_INT.withName("value"),
          MemoryLayout.paddingLayout(60));

  private static final long GRID_X = offset("gridDimX");
  private static final long GRID_Y = offset("gridDimY");
  private static final long GRID_Z = offset("gridDimZ");
  private static final long BLOCK_X = offset("blockDimX");
  private static final long BLOCK_Y = offset("blockDimY");
  private static final long BLOCK_Z = offset("blockDimZ");
  private static final long STREAM = offset("hStream");
  private static final long ATTRIBUTES = offset("attrs");
  private static final long ATTRIBUTE_COUNT = offset("numAttrs");

  private final MemorySegment structure;
  private final MemorySegment parameters;
  private final MemorySegment config;

  /** Allocates a structure of {@code bytes} bytes that lives as long as the arena. */
  public KernelArgument(Arena arena, long bytes) {
    structure = arena.allocate(bytes, 16);
    parameters = arena.allocate(ADDRESS);
    parameters.set(ADDRESS, 0, structure);
    MemorySegment attribute = arena.allocate(ATTRIBUTE);
    attribute.set(
        JAVA_INT,
        ATTRIBUTE.byteOffset(PathElement.groupElement("id")),
        CudaDriver.CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION());
    attribute.set(JAVA_INT, ATTRIBUTE.byteOffset(PathElement.groupElement("value")), 1);
    config = arena.allocate(CONFIG);
    config.set(JAVA_INT, BLOCK_Y, 1);
    config.set(JAVA_INT, BLOCK_Z, 1);
    config.set(ADDRESS, ATTRIBUTES, attribute);
  }

  private static long offset(String field) {
    return CONFIG.byteOffset(PathElement.groupElement(field));
  }

  /** Returns the structure, to be filled before a launch. */
  public MemorySegment structure() {
    return structure;
  }

  MemorySegment parameters() {
    return parameters;
  }

  MemorySegment config(
      CudaStream stream, int gridX, int gridY, int gridZ, int threads, boolean overlaps) {
    config.set(JAVA_INT, GRID_X, gridX);
    config.set(JAVA_INT, GRID_Y, gridY);
    config.set(JAVA_INT, GRID_Z, gridZ);
    config.set(JAVA_INT, BLOCK_X, threads);
    config.set(ADDRESS, STREAM, stream.handleForKernel());
    config.set(JAVA_INT, ATTRIBUTE_COUNT, overlaps ? 1 : 0);
    return config;
  }
}
