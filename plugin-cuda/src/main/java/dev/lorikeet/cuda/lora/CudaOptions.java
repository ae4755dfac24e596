package dev.lorikeet.cuda.lora;

import java.util.Map;
import java.util.TreeSet;

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
  private static final int DEFAULT_PAGE_BYTES = 64 * 1024;
  private static final int SMALLEST_PAGE_BYTES = 4096;
  private static final int LARGEST_PAGE_BYTES = 2 << 20;
  private static final TreeSet<String> KEYS = new TreeSet<>();

  static {
    KEYS.add("device");
    KEYS.add("memory-mib");
    KEYS.add("page-bytes");
    KEYS.add("fuse");
    KEYS.add("overlap");
  }

  /** When shrink and expand run in one launch. */
  enum Fusion {
    /** Where there are as many tiles as multiprocessors. */
    AUTO,
    /** Wherever it can. */
    ALWAYS,
    /** Never. */
    NEVER
  }

  static CudaOptions parse(Map<String, String> options) {
    for (String key : options.keySet()) {
      if (!KEYS.contains(key)) {
        throw new IllegalArgumentException(
            "cuda: unknown option '" + key + "', expected one of " + KEYS);
      }
    }
    long memory = number(options, "memory-mib", 0, 0, 1 << 24) << 20;
    int pageBytes =
        (int)
            number(
                options, "page-bytes", DEFAULT_PAGE_BYTES, SMALLEST_PAGE_BYTES, LARGEST_PAGE_BYTES);
    if (Integer.bitCount(pageBytes) != 1) {
      throw new IllegalArgumentException(
          "cuda: option 'page-bytes': expected a power of two, found " + pageBytes);
    }
    return new CudaOptions(
        (int) number(options, "device", 0, 0, 1023),
        memory,
        pageBytes,
        fusion(options),
        overlap(options));
  }

  private static Fusion fusion(Map<String, String> options) {
    String value = options.getOrDefault("fuse", "auto");
    return switch (value) {
      case "auto" -> Fusion.AUTO;
      case "always" -> Fusion.ALWAYS;
      case "never" -> Fusion.NEVER;
      default ->
          throw new IllegalArgumentException(
              "cuda: option 'fuse': expected one of auto, always, never, found '" + value + "'");
    };
  }

  private static boolean overlap(Map<String, String> options) {
    String value = options.getOrDefault("overlap", "auto");
    return switch (value) {
      case "auto" -> true;
      case "never" -> false;
      default ->
          throw new IllegalArgumentException(
              "cuda: option 'overlap': expected one of auto, never, found '" + value + "'");
    };
  }

  private static long number(
      Map<String, String> options, String key, long byDefault, long least, long most) {
    String text = options.get(key);
    if (text == null) {
      return byDefault;
    }
    try {
      long value = Long.parseLong(text);
      if (value >= least && value <= most) {
        return value;
      }
    } catch (NumberFormatException e) {
      // answered below, as a number out of range is
    }
    throw new IllegalArgumentException(
        "cuda: option '"
            + key
            + "': expected a number from "
            + least
            + " to "
            + most
            + ", found '"
            + text
            + "'");
  }
}
