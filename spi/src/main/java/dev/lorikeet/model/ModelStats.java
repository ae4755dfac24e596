package dev.lorikeet.model;

/**
 * Counts of a running base model.
 *
 * <p>Make one with {@link #builder}: the canonical constructor may gain parameters.
 *
 * @param queued requests that wait
 * @param running sequences in the batch
 * @param steps iterations of the decoder so far
 * @param prefillTokens prompt tokens computed so far
 * @param decodeTokens generated tokens computed so far
 * @param largestBatch the largest number of sequences that one iteration held
 * @param kvCachePages pages that hold keys and values now
 */
public record ModelStats(
    int queued,
    int running,
    long steps,
    long prefillTokens,
    long decodeTokens,
    int largestBatch,
    int kvCachePages) {

  /** Returns a builder of counts that are 0 unless told otherwise. */
  public static Builder builder() {
    return new Builder();
  }

  /** Builds counts. */
  public static final class Builder {
    private int queued;
    private int running;
    private long steps;
    private long prefillTokens;
    private long decodeTokens;
    private int largestBatch;
    private int kvCachePages;

    private Builder() {}

    /** Sets how many requests wait. */
    public Builder queued(int value) {
      queued = value;
      return this;
    }

    /** Sets how many sequences are in the batch. */
    public Builder running(int value) {
      running = value;
      return this;
    }

    /** Sets how many iterations there were. */
    public Builder steps(long value) {
      steps = value;
      return this;
    }

    /** Sets how many prompt tokens were computed. */
    public Builder prefillTokens(long value) {
      prefillTokens = value;
      return this;
    }

    /** Sets how many generated tokens were computed. */
    public Builder decodeTokens(long value) {
      decodeTokens = value;
      return this;
    }

    /** Sets the largest number of sequences that one iteration held. */
    public Builder largestBatch(int value) {
      largestBatch = value;
      return this;
    }

    /** Sets how many pages hold keys and values. */
    public Builder kvCachePages(int value) {
      kvCachePages = value;
      return this;
    }

    /** Returns the counts. */
    public ModelStats build() {
      return new ModelStats(
          queued, running, steps, prefillTokens, decodeTokens, largestBatch, kvCachePages);
    }
  }
}
