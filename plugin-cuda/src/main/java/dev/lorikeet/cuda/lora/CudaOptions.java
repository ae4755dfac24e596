package dev.lorikeet.cuda.lora;

import dev.lorikeet.plugin.Options;
import java.util.Map;

/**
 * The provider's options.
 *
 * @param device which of the usable devices, from 0; {@code device}
 * @param memoryBytes device memory for adapters, 0 for a quarter of what is free; {@code
 *     memory-mib}
 * @param pageBytes the size of a device page, that of the host's pool by default; {@code
 *     page-bytes}
 * @param fusion when shrink and expand run in one launch; {@code fuse}
 * @param overlap whether a kernel may begin before the one in front of it has ended, where the
 *     device can do that; {@code overlap}
 */
record CudaOptions(int device, long memoryBytes, int pageBytes, Fusion fusion, boolean overlap) {
  static final String OWNER = "LoRA executor plugin 'cuda'";
  private static final int DEFAULT_PAGE_BYTES = 64 * 1024;
  private static final int SMALLEST_PAGE_BYTES = 4096;
  private static final int LARGEST_PAGE_BYTES = 2 << 20;
  private static final String DEVICE = "device";
  private static final String MEMORY = "memory-mib";
  private static final String PAGE_BYTES = "page-bytes";
  private static final String FUSE = "fuse";
  private static final String OVERLAP = "overlap";

  /** When shrink and expand run in one launch. */
  enum Fusion {
    /** Where there are as many tiles as multiprocessors. */
    AUTO,
    /** Wherever it can. */
    ALWAYS,
    /** Never. */
    NEVER
  }

  /** Whether kernels overlap. */
  private enum Overlap {
    /** Where the device can do that. */
    AUTO,
    /** Never. */
    NEVER
  }

  static CudaOptions parse(Map<String, String> values) {
    Options options = Options.of(OWNER, values, DEVICE, MEMORY, PAGE_BYTES, FUSE, OVERLAP);
    int pageBytes =
        options.number(PAGE_BYTES, DEFAULT_PAGE_BYTES, SMALLEST_PAGE_BYTES, LARGEST_PAGE_BYTES);
    if (Integer.bitCount(pageBytes) != 1) {
      throw options.refusal(PAGE_BYTES, "a power of two");
    }
    return new CudaOptions(
        options.number(DEVICE, 0, 0, 1023),
        (long) options.number(MEMORY, 0, 0, 1 << 24) << 20,
        pageBytes,
        options.choice(FUSE, Fusion.AUTO),
        options.choice(OVERLAP, Overlap.AUTO) == Overlap.AUTO);
  }
}
