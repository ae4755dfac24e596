package dev.lorikeet.cuda.driver;

import static dev.lorikeet.cuda.driver.CudaException.check;

import dev.lorikeet.cuda.binding.CudaDriver;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * The primary context of a device, shared with other CUDA libraries in this process. Whatever was
 * made in it must be closed before it. Its methods may be called from any thread; {@link
 * #makeCurrent} binds it to the calling one.
 */
public final class CudaContext implements AutoCloseable {
  private final CudaDevice device;
  private final int handle;
  private final MemorySegment context;
  private boolean closed;

  private CudaContext(CudaDevice device, int handle, MemorySegment context) {
    this.device = device;
    this.handle = handle;
    this.context = context;
  }

  /** Retains the primary context of a device and makes it current. */
  public static CudaContext open(CudaDevice device) {
    try (Arena arena = Arena.ofConfined()) {
      check("cuInit", CudaDriver.cuInit(0));
      MemorySegment value = arena.allocate(ValueLayout.ADDRESS);
      check("cuDeviceGet", CudaDriver.cuDeviceGet(value, device.ordinal()));
      int handle = value.get(ValueLayout.JAVA_INT, 0);
      check("cuDevicePrimaryCtxRetain", CudaDriver.cuDevicePrimaryCtxRetain(value, handle));
      CudaContext context = new CudaContext(device, handle, value.get(ValueLayout.ADDRESS, 0));
      context.makeCurrent();
      return context;
    }
  }

  /** Returns the device. */
  public CudaDevice device() {
    return device;
  }

  /** Makes this context the calling thread's current one. */
  public void makeCurrent() {
    check("cuCtxSetCurrent", CudaDriver.cuCtxSetCurrent(context));
  }

  /** Returns how many bytes of device memory are free, for all processes together. */
  public long freeBytes() {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment free = arena.allocate(ValueLayout.JAVA_LONG);
      MemorySegment total = arena.allocate(ValueLayout.JAVA_LONG);
      check("cuMemGetInfo", CudaDriver.cuMemGetInfo_v2(free, total));
      return free.get(ValueLayout.JAVA_LONG, 0);
    }
  }

  @Override
  public void close() {
    if (!closed) {
      closed = true;
      check("cuDevicePrimaryCtxRelease", CudaDriver.cuDevicePrimaryCtxRelease_v2(handle));
    }
  }
}
