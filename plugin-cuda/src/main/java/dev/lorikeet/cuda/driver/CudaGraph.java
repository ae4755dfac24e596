package dev.lorikeet.cuda.driver;

import static dev.lorikeet.cuda.driver.CudaException.check;

import dev.lorikeet.cuda.binding.CudaDriver;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** Captured work that can be submitted many times. */
public final class CudaGraph implements AutoCloseable {
  private final MemorySegment executable;
  private boolean closed;

  private CudaGraph(MemorySegment executable) {
    this.executable = executable;
  }

  /** Takes over a captured graph. */
  static CudaGraph instantiate(MemorySegment graph) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment value = arena.allocate(ValueLayout.ADDRESS);
      int code = CudaDriver.cuGraphInstantiateWithFlags(value, graph, 0);
      check("cuGraphDestroy", CudaDriver.cuGraphDestroy(graph));
      check("cuGraphInstantiate", code);
      return new CudaGraph(value.get(ValueLayout.ADDRESS, 0));
    }
  }

  MemorySegment handle() {
    return executable;
  }

  @Override
  public void close() {
    if (!closed) {
      closed = true;
      check("cuGraphExecDestroy", CudaDriver.cuGraphExecDestroy(executable));
    }
  }
}
