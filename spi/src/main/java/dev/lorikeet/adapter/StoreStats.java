package dev.lorikeet.adapter;

/**
 * Counts of an adapter store.
 *
 * <p>Make one with {@link #builder}: the canonical constructor may gain parameters.
 *
 * @param registered names that can be acquired
 * @param resident generations whose weights are in memory
 * @param leased generations with at least one open lease
 * @param residentBytes bytes of weights in memory, without the waste at the ends of pages
 * @param residentPages pages that hold them, 0 for a store without pages
 * @param hits acquisitions that found the weights in memory
 * @param loads times that weights were brought into memory
 * @param evictions times that weights left it to make room
 */
public record StoreStats(
    int registered,
    int resident,
    int leased,
    long residentBytes,
    int residentPages,
    long hits,
    long loads,
    long evictions) {

  /** Returns a builder of counts that are 0 unless told otherwise. */
  public static Builder builder() {
    return new Builder();
  }

  /** Builds counts. */
  public static final class Builder {
    private int registered;
    private int resident;
    private int leased;
    private long residentBytes;
    private int residentPages;
    private long hits;
    private long loads;
    private long evictions;

    private Builder() {}

    /** Sets how many names can be acquired. */
    public Builder registered(int value) {
      registered = value;
      return this;
    }

    /** Sets how many generations have their weights in memory. */
    public Builder resident(int value) {
      resident = value;
      return this;
    }

    /** Sets how many have an open lease. */
    public Builder leased(int value) {
      leased = value;
      return this;
    }

    /** Sets how many bytes of weights are in memory. */
    public Builder residentBytes(long value) {
      residentBytes = value;
      return this;
    }

    /** Sets how many pages hold them. */
    public Builder residentPages(int value) {
      residentPages = value;
      return this;
    }

    /** Sets how many acquisitions found the weights in memory. */
    public Builder hits(long value) {
      hits = value;
      return this;
    }

    /** Sets how often weights were brought into memory. */
    public Builder loads(long value) {
      loads = value;
      return this;
    }

    /** Sets how often weights left it to make room. */
    public Builder evictions(long value) {
      evictions = value;
      return this;
    }

    /** Returns the counts. */
    public StoreStats build() {
      return new StoreStats(
          registered, resident, leased, residentBytes, residentPages, hits, loads, evictions);
    }
  }
}
