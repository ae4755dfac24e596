package dev.lorikeet.memory;

/**
 * The state of a pool at one moment.
 *
 * <p>Make one with {@link #builder}: the canonical constructor may gain parameters.
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

  /** Returns a builder of counts that are 0 unless told otherwise. */
  public static Builder builder() {
    return new Builder();
  }

  /** Builds counts. */
  public static final class Builder {
    private int pageBytes;
    private int pages;
    private int kvCachePages;
    private int adapterPages;
    private int otherPages;

    private Builder() {}

    /** Sets the size of one page in bytes. */
    public Builder pageBytes(int value) {
      pageBytes = value;
      return this;
    }

    /** Sets how many pages the pool has. */
    public Builder pages(int value) {
      pages = value;
      return this;
    }

    /** Sets how many hold keys and values. */
    public Builder kvCachePages(int value) {
      kvCachePages = value;
      return this;
    }

    /** Sets how many hold adapter weights. */
    public Builder adapterPages(int value) {
      adapterPages = value;
      return this;
    }

    /** Sets how many are in any other use. */
    public Builder otherPages(int value) {
      otherPages = value;
      return this;
    }

    /** Returns the counts. */
    public PoolStats build() {
      return new PoolStats(pageBytes, pages, kvCachePages, adapterPages, otherPages);
    }
  }
}
