package dev.lorikeet.cuda.driver;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** Host memory for the one structure that a kernel takes; reused from launch to launch. */
public final class KernelArgument {
  private final MemorySegment structure;
  private final MemorySegment parameters;

  /** Allocates a structure of {@code bytes} bytes that lives as long as the arena. */
  public KernelArgument(Arena arena, long bytes) {
    structure = arena.allocate(bytes, 16);
    parameters = arena.allocate(ValueLayout.ADDRESS);
    parameters.set(ValueLayout.ADDRESS, 0, structure);
  }

  /** Returns the structure, to be filled before a launch. */
  public MemorySegment structure() {
    return structure;
  }

  MemorySegment parameters() {
    return parameters;
  }
}
