package dev.lorikeet.conformance.setup;

import dev.lorikeet.tensor.Device;
import java.lang.foreign.MemorySegment;

/**
 * How the suite puts tensors on the device of an executor under test, and gets them back. One
 * thread uses it at a time.
 */
public interface TensorPlacement {
  /** Returns the device, as tensors on it name it. */
  Device device();

  /**
   * Copies host memory to new memory of the device.
   *
   * @param host native memory, aligned to 64 bytes
   * @return memory of the same size that only executors of the device dereference
   */
  MemorySegment send(MemorySegment host);

  /**
   * Copies memory of the device back, after all that the executor does to it has ended.
   *
   * @param onDevice what {@link #send} returned
   * @param host native memory of the same size
   */
  void fetch(MemorySegment onDevice, MemorySegment host);

  /** Frees what {@link #send} returned. */
  void free(MemorySegment onDevice);
}
