package dev.lorikeet.cuda.driver;

import static dev.lorikeet.cuda.driver.CudaException.check;

import dev.lorikeet.cuda.binding.CudaDriver;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** A mark in a stream, to wait for or to take the time at. */
public final class CudaEvent implements AutoCloseable {
  private final MemorySegment event;
  private boolean closed;

  private CudaEvent(MemorySegment event) {
    this.event = event;
  }

  /** Creates an event for waiting. */
  public static CudaEvent forOrder() {
    return create(CudaDriver.CU_EVENT_DISABLE_TIMING());
  }

  /** Creates an event for taking the time. */
  public static CudaEvent forTiming() {
    return create(CudaDriver.CU_EVENT_DEFAULT());
  }

  private static CudaEvent create(int flags) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment value = arena.allocate(ValueLayout.ADDRESS);
      check("cuEventCreate", CudaDriver.cuEventCreate(value, flags));
      return new CudaEvent(value.get(ValueLayout.ADDRESS, 0));
    }
  }

  MemorySegment handle() {
    return event;
  }

  /** Marks what the stream has been given so far. */
  public void record(CudaStream stream) {
    check("cuEventRecord", CudaDriver.cuEventRecord(event, stream.handle()));
  }

  /** Returns whether what was marked is done; true for an event that was never recorded. */
  public boolean isDone() {
    int code = CudaDriver.cuEventQuery(event);
    if (code == CudaDriver.CUDA_ERROR_NOT_READY()) {
      return false;
    }
    check("cuEventQuery", code);
    return true;
  }

  /** Waits until what was marked is done. */
  public void synchronize() {
    check("cuEventSynchronize", CudaDriver.cuEventSynchronize(event));
  }

  /** Returns the milliseconds between two recorded events that are done. */
  public static float millisecondsBetween(CudaEvent start, CudaEvent end) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment value = arena.allocate(ValueLayout.JAVA_FLOAT);
      check(
          "cuEventElapsedTime",
          CudaDriver.cuEventElapsedTime_v2(value, start.handle(), end.handle()));
      return value.get(ValueLayout.JAVA_FLOAT, 0);
    }
  }

  @Override
  public void close() {
    if (!closed) {
      closed = true;
      check("cuEventDestroy", CudaDriver.cuEventDestroy_v2(event));
    }
  }
}
