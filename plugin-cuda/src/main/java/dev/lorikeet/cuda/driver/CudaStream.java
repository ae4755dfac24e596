package dev.lorikeet.cuda.driver;

import static dev.lorikeet.cuda.driver.CudaException.check;

import dev.lorikeet.cuda.binding.CudaDriver;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** A queue of device work, done in order. */
public final class CudaStream implements AutoCloseable {
  private final MemorySegment stream;
  private boolean capturing;
  private boolean endsWithKernel;
  private boolean closed;

  private CudaStream(MemorySegment stream) {
    this.stream = stream;
  }

  /** Creates a stream that keeps order with the default stream of other CUDA libraries. */
  public static CudaStream blocking() {
    return create(CudaDriver.CU_STREAM_DEFAULT());
  }

  /** Creates a stream that keeps order with nothing but what events tell it. */
  public static CudaStream independent() {
    return create(CudaDriver.CU_STREAM_NON_BLOCKING());
  }

  private static CudaStream create(int flags) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment value = arena.allocate(ValueLayout.ADDRESS);
      check("cuStreamCreate", CudaDriver.cuStreamCreate(value, flags));
      return new CudaStream(value.get(ValueLayout.ADDRESS, 0));
    }
  }

  /** Returns the stream to put something into it that is no kernel. */
  MemorySegment handle() {
    endsWithKernel = false;
    return stream;
  }

  /** Returns the stream to put a kernel into it. */
  MemorySegment handleForKernel() {
    endsWithKernel = true;
    return stream;
  }

  /** Returns whether what was put last into this stream is a kernel. */
  boolean endsWithKernel() {
    return endsWithKernel;
  }

  /** Makes later work of this stream wait for what the event stands for now. */
  public void waitFor(CudaEvent event) {
    check("cuStreamWaitEvent", CudaDriver.cuStreamWaitEvent(handle(), event.handle(), 0));
  }

  /** Waits until all work of this stream is done. */
  public void synchronize() {
    check("cuStreamSynchronize", CudaDriver.cuStreamSynchronize(stream));
  }

  /** Copies pinned host memory to the device; the host memory must stay as it is meanwhile. */
  public void copyToDevice(long address, MemorySegment pinned, long bytes) {
    check("cuMemcpyHtoDAsync", CudaDriver.cuMemcpyHtoDAsync_v2(address, pinned, bytes, handle()));
  }

  /** Copies device memory to pinned host memory. */
  public void copyToHost(MemorySegment pinned, long address, long bytes) {
    check("cuMemcpyDtoHAsync", CudaDriver.cuMemcpyDtoHAsync_v2(pinned, address, bytes, handle()));
  }

  /** Copies device memory to device memory. */
  public void copyOnDevice(long to, long from, long bytes) {
    check("cuMemcpyDtoDAsync", CudaDriver.cuMemcpyDtoDAsync_v2(to, from, bytes, handle()));
  }

  /** Sets device memory to a byte. */
  public void fill(long address, byte value, long bytes) {
    check("cuMemsetD8Async", CudaDriver.cuMemsetD8Async(address, value, bytes, handle()));
  }

  /** Returns whether {@link #capture} is under way. */
  public boolean isCapturing() {
    return capturing;
  }

  /**
   * Refuses what a graph cannot hold: copies of host memory that is written again, and waits for
   * it.
   *
   * @throws IllegalStateException within {@link #capture}
   */
  public void expectNoCapture(String what) {
    if (capturing) {
      throw new IllegalStateException(what + " cannot be captured in a graph");
    }
  }

  /** Records what {@code work} submits to this stream instead of running it. */
  public CudaGraph capture(Runnable work) {
    check(
        "cuStreamBeginCapture",
        CudaDriver.cuStreamBeginCapture_v2(
            handle(), CudaDriver.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL()));
    boolean done = false;
    capturing = true;
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment value = arena.allocate(ValueLayout.ADDRESS);
      try {
        work.run();
        done = true;
      } finally {
        capturing = false;
        int code = CudaDriver.cuStreamEndCapture(handle(), value);
        MemorySegment graph = value.get(ValueLayout.ADDRESS, 0);
        if (done) {
          check("cuStreamEndCapture", code);
        } else if (graph.address() != 0) {
          check("cuGraphDestroy", CudaDriver.cuGraphDestroy(graph));
        }
      }
      return CudaGraph.instantiate(value.get(ValueLayout.ADDRESS, 0));
    }
  }

  /** Submits a captured graph. */
  public void launch(CudaGraph graph) {
    check("cuGraphLaunch", CudaDriver.cuGraphLaunch(graph.handle(), handle()));
  }

  @Override
  public void close() {
    if (!closed) {
      closed = true;
      check("cuStreamDestroy", CudaDriver.cuStreamDestroy_v2(stream));
    }
  }
}
