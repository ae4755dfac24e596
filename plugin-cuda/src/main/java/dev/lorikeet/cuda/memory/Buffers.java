package dev.lorikeet.cuda.memory;

import dev.lorikeet.cuda.driver.CudaStream;
import dev.lorikeet.cuda.driver.DeviceMemory;
import dev.lorikeet.cuda.driver.PinnedMemory;
import java.lang.foreign.MemorySegment;
import java.util.Optional;

/**
 * Device and pinned memory that grows to the largest size asked for and then stays. Growing waits
 * for the stream that uses it. Not thread-safe.
 */
public final class Buffers {
  private Buffers() {}

  /** Rounds a size up to a multiple of a unit. */
  public static long align(long value, long unit) {
    return (value + unit - 1) / unit * unit;
  }

  /** A device buffer. */
  public static final class OnDevice implements AutoCloseable {
    private final CudaStream stream;
    private Optional<DeviceMemory> memory = Optional.empty();

    /** Creates an empty buffer that work of this stream uses. */
    public OnDevice(CudaStream stream) {
      this.stream = stream;
    }

    /** Returns the address of at least so many bytes; the content is lost when it grows. */
    public long reserve(long bytes) {
      if (memory.isEmpty() || memory.get().bytes() < bytes) {
        stream.synchronize();
        close();
        memory = Optional.of(DeviceMemory.allocate(grown(bytes)));
      }
      return memory.get().address();
    }

    @Override
    public void close() {
      memory.ifPresent(DeviceMemory::close);
      memory = Optional.empty();
    }
  }

  /** A pinned buffer. */
  public static final class Pinned implements AutoCloseable {
    private final CudaStream stream;
    private Optional<PinnedMemory> memory = Optional.empty();

    /** Creates an empty buffer that work of this stream uses. */
    public Pinned(CudaStream stream) {
      this.stream = stream;
    }

    /** Returns at least so many bytes; the content is lost when it grows. */
    public MemorySegment reserve(long bytes) {
      if (memory.isEmpty() || memory.get().memory().byteSize() < bytes) {
        stream.synchronize();
        close();
        memory = Optional.of(PinnedMemory.allocate(grown(bytes)));
      }
      return memory.get().memory();
    }

    @Override
    public void close() {
      memory.ifPresent(PinnedMemory::close);
      memory = Optional.empty();
    }
  }

  private static long grown(long bytes) {
    return align(bytes + bytes / 4, 4096);
  }
}
