package dev.lorikeet.cuda.driver;

import static dev.lorikeet.cuda.driver.CudaException.check;

import dev.lorikeet.cuda.binding.CudaDriver;
import dev.lorikeet.cuda.binding.DriverLibrary;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;

/**
 * A GPU that the driver lists.
 *
 * @param ordinal its number, from 0
 * @param name NVIDIA's name for it
 * @param major the major part of the compute capability
 * @param minor the minor part of the compute capability
 * @param multiprocessors the number of streaming multiprocessors
 * @param l2Bytes the size of the L2 cache in bytes
 * @param memoryBytes the size of its memory in bytes
 * @param driverVersion the CUDA version of the driver, such as 13000
 */
public record CudaDevice(
    int ordinal,
    String name,
    int major,
    int minor,
    int multiprocessors,
    int l2Bytes,
    long memoryBytes,
    int driverVersion) {

  /** The oldest compute capability that the kernels are compiled for. */
  private static final int OLDEST_MAJOR = 8;

  /**
   * What was found on this machine.
   *
   * @param devices the devices that can be used
   * @param reason why there is none; empty if there is one
   */
  public record Probe(List<CudaDevice> devices, String reason) {}

  /** Looks for the driver and its devices; never throws for what it finds. */
  public static Probe probe() {
    var missing = DriverLibrary.missing();
    if (missing.isPresent()) {
      return new Probe(List.of(), missing.get());
    }
    try {
      return probeDriver();
    } catch (CudaException | LinkageError | java.util.NoSuchElementException e) {
      // A driver older than the bindings lacks some of their functions.
      return new Probe(List.of(), "the NVIDIA driver does not work: " + firstMessage(e));
    }
  }

  private static String firstMessage(Throwable failure) {
    Throwable cause = failure;
    while (cause.getCause() != null) {
      cause = cause.getCause();
    }
    return cause.getMessage() == null ? cause.getClass().getSimpleName() : cause.getMessage();
  }

  private static Probe probeDriver() {
    int initialized = CudaDriver.cuInit(0);
    if (initialized == CudaDriver.CUDA_ERROR_NO_DEVICE()) {
      return new Probe(List.of(), "the NVIDIA driver finds no device");
    }
    check("cuInit", initialized);
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment value = arena.allocate(ValueLayout.JAVA_INT);
      check("cuDriverGetVersion", CudaDriver.cuDriverGetVersion(value));
      int version = value.get(ValueLayout.JAVA_INT, 0);
      if (version < CudaDriver.CUDA_VERSION()) {
        return new Probe(
            List.of(),
            "the NVIDIA driver supports CUDA "
                + dotted(version)
                + ", expected "
                + dotted(CudaDriver.CUDA_VERSION())
                + " or later");
      }
      check("cuDeviceGetCount", CudaDriver.cuDeviceGetCount(value));
      int count = value.get(ValueLayout.JAVA_INT, 0);
      List<CudaDevice> usable = new ArrayList<>();
      List<String> refused = new ArrayList<>();
      for (int ordinal = 0; ordinal < count; ordinal++) {
        CudaDevice device = read(ordinal, version, arena);
        if (device.major() >= OLDEST_MAJOR) {
          usable.add(device);
        } else {
          refused.add(device + " is older than compute capability " + OLDEST_MAJOR + ".0");
        }
      }
      if (usable.isEmpty()) {
        String reason =
            refused.isEmpty() ? "the NVIDIA driver lists no device" : String.join(", ", refused);
        return new Probe(List.of(), reason);
      }
      return new Probe(List.copyOf(usable), "");
    }
  }

  private static CudaDevice read(int ordinal, int version, Arena arena) {
    MemorySegment value = arena.allocate(ValueLayout.JAVA_INT);
    check("cuDeviceGet", CudaDriver.cuDeviceGet(value, ordinal));
    int device = value.get(ValueLayout.JAVA_INT, 0);
    MemorySegment name = arena.allocate(256);
    check("cuDeviceGetName", CudaDriver.cuDeviceGetName(name, 256, device));
    MemorySegment bytes = arena.allocate(ValueLayout.JAVA_LONG);
    check("cuDeviceTotalMem", CudaDriver.cuDeviceTotalMem_v2(bytes, device));
    return new CudaDevice(
        ordinal,
        name.getString(0),
        attribute(CudaDriver.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR(), device, value),
        attribute(CudaDriver.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR(), device, value),
        attribute(CudaDriver.CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT(), device, value),
        attribute(CudaDriver.CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE(), device, value),
        bytes.get(ValueLayout.JAVA_LONG, 0),
        version);
  }

  private static int attribute(int attribute, int device, MemorySegment value) {
    check("cuDeviceGetAttribute", CudaDriver.cuDeviceGetAttribute(value, attribute, device));
    return value.get(ValueLayout.JAVA_INT, 0);
  }

  private static String dotted(int version) {
    return version / 1000 + "." + version % 1000 / 10;
  }

  @Override
  public String toString() {
    return name
        + ", compute capability "
        + major
        + "."
        + minor
        + ", "
        + (memoryBytes >> 20)
        + " MiB, driver for CUDA "
        + dotted(driverVersion);
  }
}
