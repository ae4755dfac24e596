package dev.lorikeet.cuda.memory;

import dev.lorikeet.cuda.driver.DeviceMemory;
import java.util.BitSet;

/**
 * Equal pages of device memory, in one allocation.
 *
 * <p>Idea: the host pool's geometry on the device (unified paging, S-LoRA, arXiv 2311.03285): any
 * set of pages will do, so there is no external fragmentation. Layout: one allocation, page i at
 * {@code base + i * pageBytes}; free pages in a bit set, the lowest first, so that an adapter's
 * pages mostly are neighbours and copies of several pages can be one. Cost: finding a free page
 * walks the bit set once per allocation. Not thread-safe.
 */
public final class DevicePagePool implements AutoCloseable {
  private final DeviceMemory memory;
  private final int pageBytes;
  private final int pages;
  private final BitSet free;
  private int freePages;

  /**
   * Allocates as many pages as fit.
   *
   * @param bytes the device memory to take, at least a page
   * @param pageBytes the size of a page, a power of two
   */
  public DevicePagePool(long bytes, int pageBytes) {
    this.pageBytes = pageBytes;
    pages = (int) Math.min(Integer.MAX_VALUE - 8, bytes / pageBytes);
    if (pages < 1) {
      throw new IllegalArgumentException(
          "device memory: expected room for a page of "
              + pageBytes
              + " bytes, found "
              + bytes
              + " bytes");
    }
    memory = DeviceMemory.allocate((long) pages * pageBytes);
    free = new BitSet(pages);
    free.set(0, pages);
    freePages = pages;
  }

  int pageBytes() {
    return pageBytes;
  }

  int pages() {
    return pages;
  }

  int freePages() {
    return freePages;
  }

  long address(int page) {
    return memory.address() + (long) page * pageBytes;
  }

  /** Takes all of {@code taken.length} pages, or none; tells which. */
  boolean allocate(int[] taken) {
    if (taken.length > freePages) {
      return false;
    }
    int page = -1;
    for (int i = 0; i < taken.length; i++) {
      page = free.nextSetBit(page + 1);
      taken[i] = page;
    }
    for (int p : taken) {
      free.clear(p);
    }
    freePages -= taken.length;
    return true;
  }

  void free(int[] given) {
    for (int page : given) {
      if (free.get(page)) {
        throw new IllegalStateException("device page " + page + " is free already");
      }
      free.set(page);
    }
    freePages += given.length;
  }

  @Override
  public void close() {
    memory.close();
  }
}
