package dev.lorikeet.cuda.driver;

import static dev.lorikeet.cuda.driver.CudaException.check;

import dev.lorikeet.cuda.binding.CudaDriver;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** Page-locked host memory, which the device copies from and to while the host goes on. */
public final class PinnedMemory implements AutoCloseable {
  private final MemorySegment memory;
  private boolean closed;

  private PinnedMemory(MemorySegment memory) {
    this.memory = memory;
  }

  /** Allocates page-locked memory; its content is unspecified. */
  public static PinnedMemory allocate(long bytes) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment value = arena.allocate(ValueLayout.ADDRESS);
      check("cuMemHostAlloc(" + bytes + " bytes)", CudaDriver.cuMemHostAlloc(value, bytes, 0));
      return new PinnedMemory(value.get(ValueLayout.ADDRESS, 0).reinterpret(bytes));
    }
  }

  /** Returns the memory; must not be used after close. */
  public MemorySegment memory() {
    return memory;
  }

  @Override
  public void close() {
    if (!closed) {
      closed = true;
      check("cuMemFreeHost", CudaDriver.cuMemFreeHost(memory));
    }
  }
}
