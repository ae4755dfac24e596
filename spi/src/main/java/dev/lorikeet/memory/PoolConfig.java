package dev.lorikeet.memory;

import java.util.Map;

/**
 * How to open a pool.
 *
 * <p>Make one with {@link #of} or {@link #ofBytes}: the canonical constructor may gain parameters.
 *
 * @param bytes how much memory the pool may take; the number of pages is this divided by the page
 *     size, rounded down, at least 1
 * @param pageBytes the size of one page in bytes: a multiple of 64, at least 4,096
 * @param options settings of the chosen provider; an unknown key is refused
 */
public record PoolConfig(long bytes, int pageBytes, Map<String, String> options) {
  /** The default size of a page: 64 KiB. */
  public static final int DEFAULT_PAGE_BYTES = 64 * 1024;

  public PoolConfig {
    options = Map.copyOf(options);
    if (pageBytes < 4096 || pageBytes % 64 != 0) {
      throw new IllegalArgumentException(
          "page bytes: expected a multiple of 64, at least 4096, found " + pageBytes);
    }
    if (bytes < pageBytes || bytes / pageBytes > Integer.MAX_VALUE - 8) {
      throw new IllegalArgumentException(
          "pool bytes: expected room for 1 to "
              + (Integer.MAX_VALUE - 8)
              + " pages of "
              + pageBytes
              + " bytes, found "
              + bytes);
    }
  }

  /** Returns a configuration without options. */
  public static PoolConfig of(long bytes, int pageBytes) {
    return new PoolConfig(bytes, pageBytes, Map.of());
  }

  /** Returns a configuration with pages of {@link #DEFAULT_PAGE_BYTES} and no options. */
  public static PoolConfig ofBytes(long bytes) {
    return new PoolConfig(bytes, DEFAULT_PAGE_BYTES, Map.of());
  }

  /** Returns the same with these settings of the provider. */
  public PoolConfig withOptions(Map<String, String> options) {
    return new PoolConfig(bytes, pageBytes, options);
  }

  /** Returns the number of pages. */
  public int pageCount() {
    return (int) (bytes / pageBytes);
  }
}
