package dev.lorikeet.memory;

/**
 * The state of a pool at one moment.
 *
 * @param pageBytes the size of one page in bytes
 * @param pages how many pages the pool has
 * @param kvCachePages pages that hold keys and values
 * @param adapterPages pages that hold adapter weights
 * @param otherPages pages in any other use
 */
public record PoolStats(
    int pageBytes, int pages, int kvCachePages, int adapterPages, int otherPages) {
  /** Returns the number of pages in use. */
  public int usedPages() {
    return kvCachePages + adapterPages + otherPages;
  }

  /** Returns the number of free pages. */
  public int freePages() {
    return pages - usedPages();
  }

  /** Returns the number of pages that {@code owner} uses. */
  public int pages(PageOwner owner) {
    return switch (owner) {
      case KV_CACHE -> kvCachePages;
      case ADAPTER -> adapterPages;
      case OTHER -> otherPages;
    };
  }
}
