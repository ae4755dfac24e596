package dev.lorikeet.arrow.offheap;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;

/**
 * Zeroed memory that costs nothing until it is written. {@link Arena#allocate} writes the zeros
 * itself, so that a pool of many gigabytes would take seconds to open and its whole size of
 * resident memory; the C library's {@code calloc} takes fresh pages, which the system zeroes on
 * first use.
 */
final class LazyMemory {
  private static final FunctionDescriptor CALLOC =
      FunctionDescriptor.of(ValueLayout.ADDRESS, ValueLayout.JAVA_LONG, ValueLayout.JAVA_LONG);
  private static final FunctionDescriptor FREE = FunctionDescriptor.ofVoid(ValueLayout.ADDRESS);

  private LazyMemory() {}

  /**
   * Allocates in an arena, which frees on close.
   *
   * @throws OutOfMemoryError if the system refuses
   */
  static MemorySegment allocate(Arena arena, long bytes, long alignment) {
    try {
      return calloc(arena, bytes, alignment);
    } catch (IllegalCallerException | UnsupportedOperationException e) {
      return arena.allocate(
          bytes, alignment); // native access is denied: slower to open, no less right
    }
  }

  @SuppressWarnings("restricted")
  private static MemorySegment calloc(Arena arena, long bytes, long alignment) {
    long padded = Math.addExact(bytes, alignment);
    MemorySegment raw;
    MethodHandle free;
    try {
      Linker linker = Linker.nativeLinker();
      free = linker.downcallHandle(symbol(linker, "free"), FREE);
      raw =
          (MemorySegment)
              linker.downcallHandle(symbol(linker, "calloc"), CALLOC).invokeExact(padded, 1L);
    } catch (RuntimeException | Error e) {
      throw e;
    } catch (Throwable e) {
      throw new UnsupportedOperationException(e);
    }
    if (raw.address() == 0) {
      throw new OutOfMemoryError("the system refused " + padded + " bytes of off-heap memory");
    }
    long skip = Math.floorMod(-raw.address(), alignment);
    MemorySegment owned = raw.reinterpret(padded, arena, block -> release(free, block));
    return owned.asSlice(skip, bytes, alignment);
  }

  private static MemorySegment symbol(Linker linker, String name) {
    return linker
        .defaultLookup()
        .find(name)
        .orElseThrow(() -> new UnsupportedOperationException("no " + name + " in the C library"));
  }

  private static void release(MethodHandle free, MemorySegment block) {
    try {
      free.invokeExact(block);
    } catch (RuntimeException | Error e) {
      throw e;
    } catch (Throwable e) {
      throw new IllegalStateException(e);
    }
  }
}
