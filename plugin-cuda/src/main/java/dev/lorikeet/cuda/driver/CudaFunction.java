package dev.lorikeet.cuda.driver;

import static dev.lorikeet.cuda.driver.CudaException.check;

import dev.lorikeet.cuda.binding.CudaDriver;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** A kernel of a loaded module that takes one structure by value. */
public final class CudaFunction {
  private final String name;
  private final MemorySegment function;

  CudaFunction(String name, MemorySegment function) {
    this.name = name;
    this.function = function;
  }

  /** Returns the kernel's name. */
  public String name() {
    return name;
  }

  /** Returns the number of registers per thread. */
  public int registers() {
    return attribute(CudaDriver.CU_FUNC_ATTRIBUTE_NUM_REGS());
  }

  /** Returns the bytes of local memory per thread; above 0 where registers were spilled. */
  public int localBytes() {
    return attribute(CudaDriver.CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES());
  }

  private int attribute(int attribute) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment value = arena.allocate(ValueLayout.JAVA_INT);
      check("cuFuncGetAttribute", CudaDriver.cuFuncGetAttribute(value, attribute, function));
      return value.get(ValueLayout.JAVA_INT, 0);
    }
  }

  /**
   * Launches the kernel on a stream; allocates nothing. The argument is copied before this returns.
   */
  public void launch(
      CudaStream stream, int gridX, int gridY, int gridZ, int threads, KernelArgument argument) {
    launch(argument.config(stream, gridX, gridY, gridZ, threads, false), argument);
  }

  /**
   * Launches a kernel that may begin before the kernel launched just before it on this stream has
   * ended, where the device can do that (compute capability 9.0): it awaits that kernel itself
   * before it touches anything that kernels write (programmatic dependent launch, CUDA C++
   * Programming Guide). After a copy, a wait or anything else that is no kernel it begins in order.
   */
  public void launchOverlapping(
      CudaStream stream, int gridX, int gridY, int gridZ, int threads, KernelArgument argument) {
    boolean overlaps = stream.endsWithKernel();
    launch(argument.config(stream, gridX, gridY, gridZ, threads, overlaps), argument);
  }

  private void launch(MemorySegment config, KernelArgument argument) {
    check(
        name,
        CudaDriver.cuLaunchKernelEx(config, function, argument.parameters(), MemorySegment.NULL));
  }
}
