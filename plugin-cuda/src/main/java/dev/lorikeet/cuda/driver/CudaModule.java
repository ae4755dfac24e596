package dev.lorikeet.cuda.driver;

import static dev.lorikeet.cuda.driver.CudaException.check;

import dev.lorikeet.cuda.binding.CudaDriver;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** Loaded kernels; its functions are valid until it is closed. */
public final class CudaModule implements AutoCloseable {
  private final MemorySegment module;
  private boolean closed;

  private CudaModule(MemorySegment module) {
    this.module = module;
  }

  /** Loads a fat binary into the current context. */
  public static CudaModule load(byte[] image) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment bytes = arena.allocate(image.length, 16);
      MemorySegment.copy(image, 0, bytes, ValueLayout.JAVA_BYTE, 0, image.length);
      MemorySegment value = arena.allocate(ValueLayout.ADDRESS);
      check("cuModuleLoadData", CudaDriver.cuModuleLoadData(value, bytes));
      return new CudaModule(value.get(ValueLayout.ADDRESS, 0));
    }
  }

  /** Returns a kernel by its name. */
  public CudaFunction function(String name) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment value = arena.allocate(ValueLayout.ADDRESS);
      check(
          "cuModuleGetFunction(" + name + ")",
          CudaDriver.cuModuleGetFunction(value, module, arena.allocateFrom(name)));
      return new CudaFunction(name, value.get(ValueLayout.ADDRESS, 0));
    }
  }

  @Override
  public void close() {
    if (!closed) {
      closed = true;
      check("cuModuleUnload", CudaDriver.cuModuleUnload(module));
    }
  }
}
