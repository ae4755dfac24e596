package dev.lorikeet.cuda.driver;

import static dev.lorikeet.cuda.driver.CudaException.check;

import dev.lorikeet.cuda.binding.CudaDriver;
import dev.lorikeet.tensor.Device;
import dev.lorikeet.tensor.ElementType;
import dev.lorikeet.tensor.Tensor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** Memory on the device of the current context. */
public final class DeviceMemory implements AutoCloseable {
  private final long address;
  private final long bytes;
  private boolean closed;

  private DeviceMemory(long address, long bytes) {
    this.address = address;
    this.bytes = bytes;
  }

  /** Allocates device memory, aligned to 256 bytes; its content is unspecified. */
  public static DeviceMemory allocate(long bytes) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment value = arena.allocate(ValueLayout.JAVA_LONG);
      check("cuMemAlloc(" + bytes + " bytes)", CudaDriver.cuMemAlloc_v2(value, bytes));
      return new DeviceMemory(value.get(ValueLayout.JAVA_LONG, 0), bytes);
    }
  }

  /** Returns the device address. */
  public long address() {
    return address;
  }

  /** Returns the size in bytes. */
  public long bytes() {
    return bytes;
  }

  /**
   * Returns a tensor over this memory from a byte offset. The segment only carries the address:
   * reading it on the host would crash, only executors of this device may use it.
   */
  public Tensor tensor(
      long offset, ElementType type, long rows, long columns, long rowStride, Device device) {
    MemorySegment segment = MemorySegment.ofAddress(address + offset).reinterpret(bytes - offset);
    return new Tensor(segment, type, rows, columns, rowStride, device);
  }

  /** Copies host memory to the device and waits; for setting up. */
  public void write(long offset, MemorySegment host) {
    if (host.byteSize() > 0) {
      check("cuMemcpyHtoD", CudaDriver.cuMemcpyHtoD_v2(address + offset, host, host.byteSize()));
    }
  }

  /** Copies device memory to the host and waits; for checking. */
  public void read(long offset, MemorySegment host) {
    if (host.byteSize() > 0) {
      check("cuMemcpyDtoH", CudaDriver.cuMemcpyDtoH_v2(host, address + offset, host.byteSize()));
    }
  }

  @Override
  public void close() {
    if (!closed) {
      closed = true;
      check("cuMemFree", CudaDriver.cuMemFree_v2(address));
    }
  }
}
