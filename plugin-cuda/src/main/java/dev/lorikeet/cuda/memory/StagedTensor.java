package dev.lorikeet.cuda.memory;

import dev.lorikeet.cuda.driver.CudaStream;
import dev.lorikeet.tensor.Tensor;
import java.lang.foreign.MemorySegment;

/**
 * A copy on the device of a host tensor's first rows: the slow way, for hosts whose activations or
 * weights are in host memory. The copy has a row stride of a multiple of eight elements. Not
 * thread-safe.
 */
public final class StagedTensor implements AutoCloseable {
  private final CudaStream stream;
  private final Buffers.Pinned pinned;
  private final Buffers.OnDevice device;

  /** Creates a copy that work of this stream reads and writes; it has no memory yet. */
  public StagedTensor(CudaStream stream) {
    this.stream = stream;
    pinned = new Buffers.Pinned(stream);
    device = new Buffers.OnDevice(stream);
  }

  /** Returns the row stride of the copy, in elements. */
  public static long stride(Tensor host) {
    return Buffers.align(host.columns(), 8);
  }

  private static long rowBytes(Tensor host) {
    return stride(host) * host.type().bytes();
  }

  /** Makes room for the first rows of a tensor; returns the device address. */
  public long reserve(Tensor host, long rows) {
    pinned.reserve(Math.max(1, rows) * rowBytes(host));
    return device.reserve(Math.max(1, rows) * rowBytes(host));
  }

  /** Copies the first rows to the device; returns the device address. */
  public long send(Tensor host, long rows) {
    long address = reserve(host, rows);
    long rowBytes = rowBytes(host);
    MemorySegment staging = pinned.reserve(Math.max(1, rows) * rowBytes);
    for (long row = 0; row < rows; row++) {
      MemorySegment.copy(
          host.segment(),
          row * host.rowStrideBytes(),
          staging,
          row * rowBytes,
          host.columns() * host.type().bytes());
    }
    if (rows > 0) {
      stream.copyToDevice(address, staging, rows * rowBytes);
    }
    return address;
  }

  /** Starts copying the first rows back. */
  public void fetch(Tensor host, long rows) {
    if (rows > 0) {
      long bytes = rows * rowBytes(host);
      stream.copyToHost(pinned.reserve(bytes), device.reserve(bytes), bytes);
    }
  }

  /** Writes one fetched row into the tensor; the stream must have been waited for. */
  public void store(Tensor host, long rows, long row) {
    MemorySegment.copy(
        pinned.reserve(rows * rowBytes(host)),
        row * rowBytes(host),
        host.segment(),
        row * host.rowStrideBytes(),
        host.columns() * host.type().bytes());
  }

  @Override
  public void close() {
    pinned.close();
    device.close();
  }
}
