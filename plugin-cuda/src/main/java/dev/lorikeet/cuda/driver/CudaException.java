package dev.lorikeet.cuda.driver;

import dev.lorikeet.cuda.binding.CudaDriver;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** A call of the CUDA driver API that failed: names the call and gives CUDA's own message. */
public final class CudaException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  private final int code;

  CudaException(String call, int code) {
    super(call + ": " + describe(code));
    this.code = code;
  }

  /** Returns CUDA's code, a {@code CUresult}. */
  public int code() {
    return code;
  }

  /** Returns whether the device had too little free memory. */
  public boolean isOutOfMemory() {
    return code == CudaDriver.CUDA_ERROR_OUT_OF_MEMORY();
  }

  /** Throws unless {@code code} is success. */
  static void check(String call, int code) {
    if (code != CudaDriver.CUDA_SUCCESS()) {
      throw new CudaException(call, code);
    }
  }

  /** Returns CUDA's name and text for a code. */
  static String describe(int code) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment text = arena.allocate(ValueLayout.ADDRESS);
      String name =
          CudaDriver.cuGetErrorName(code, text) == CudaDriver.CUDA_SUCCESS() ? string(text) : "";
      String sentence =
          CudaDriver.cuGetErrorString(code, text) == CudaDriver.CUDA_SUCCESS() ? string(text) : "";
      return name.isEmpty() ? "unknown error " + code : name + " (" + sentence + ")";
    }
  }

  private static String string(MemorySegment pointer) {
    MemorySegment text = pointer.get(ValueLayout.ADDRESS, 0);
    return text.address() == 0 ? "" : text.reinterpret(4096).getString(0);
  }
}
