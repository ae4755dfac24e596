package dev.lorikeet.executor;

import dev.lorikeet.adapter.AdapterLease;
import java.util.Arrays;
import java.util.Objects;

/**
 * Which tokens of a batch use which adapters, with which weights: compressed rows, grouped by
 * adapter (the segments of Punica's SGMV, arXiv 2310.18547). Segment {@code s} says that the tokens
 * {@code token(i)}, {@code i} in {@code [segmentStart(s), segmentEnd(s))}, receive {@code
 * weight(i)} times the delta of {@code adapter(s)}. Token indices inside a segment are strictly
 * increasing. One adapter per request is one segment per adapter in use with weights 1; a top-k
 * mixture puts a token into k segments; a token without adapter is in none. An adapter may have
 * several segments; their deltas add up. A segment may be empty.
 *
 * <p>A reusable buffer: {@link #reset}, then for each segment {@link #beginSegment} and {@link
 * #add}. Steady use allocates nothing. Not thread-safe while it is filled; safe for concurrent
 * reading afterwards. The leases belong to whoever filled it and must stay open while it is used.
 */
public final class LoraBatch {
  private int tokens;
  private int segments;
  private int entries;
  private long revision;
  private AdapterLease[] adapters = new AdapterLease[8];
  private int[] starts = new int[9];
  private int[] tokenIndices = new int[64];
  private float[] weights = new float[64];

  /** Creates a batch of no tokens. */
  public LoraBatch() {}

  /**
   * Empties the batch.
   *
   * @param tokens the number of tokens of the new batch; at least 0
   * @return this
   */
  public LoraBatch reset(int tokens) {
    if (tokens < 0) {
      throw new IllegalArgumentException("tokens: expected >= 0, found " + tokens);
    }
    Arrays.fill(adapters, 0, segments, null);
    this.tokens = tokens;
    segments = 0;
    entries = 0;
    revision++;
    return this;
  }

  /** Begins the next segment: tokens added from here on use {@code adapter}. */
  public LoraBatch beginSegment(AdapterLease adapter) {
    Objects.requireNonNull(adapter, "adapter");
    if (segments == adapters.length) {
      adapters = Arrays.copyOf(adapters, 2 * segments);
      starts = Arrays.copyOf(starts, 2 * segments + 1);
    }
    adapters[segments] = adapter;
    starts[segments++] = entries;
    starts[segments] = entries;
    revision++;
    return this;
  }

  /**
   * Adds a token to the segment begun last.
   *
   * @param token the token's row in the tensors; larger than the last one added to this segment
   * @param weight the factor of the adapter's delta for this token; finite
   */
  public LoraBatch add(int token, float weight) {
    if (segments == 0) {
      throw new IllegalStateException("expected beginSegment before add");
    }
    Objects.checkIndex(token, tokens);
    if (entries > starts[segments - 1] && token <= tokenIndices[entries - 1]) {
      throw new IllegalArgumentException(
          "token: expected more than "
              + tokenIndices[entries - 1]
              + " in this segment, found "
              + token);
    }
    if (!Float.isFinite(weight)) {
      throw new IllegalArgumentException("weight: expected a finite number, found " + weight);
    }
    if (entries == tokenIndices.length) {
      tokenIndices = Arrays.copyOf(tokenIndices, 2 * entries);
      weights = Arrays.copyOf(weights, 2 * entries);
    }
    tokenIndices[entries] = token;
    weights[entries++] = weight;
    starts[segments] = entries;
    revision++;
    return this;
  }

  /**
   * Returns how many tokens the batch has, with and without adapters: the rows of the tensors in
   * use.
   */
  public int tokens() {
    return tokens;
  }

  /** Returns the number of segments. */
  public int segments() {
    return segments;
  }

  /** Returns the number of (token, adapter) pairs over all segments. */
  public int entries() {
    return entries;
  }

  /** Returns the adapter of a segment. */
  public AdapterLease adapter(int segment) {
    Objects.checkIndex(segment, segments);
    return adapters[segment];
  }

  /** Returns the first entry of a segment. */
  public int segmentStart(int segment) {
    Objects.checkIndex(segment, segments);
    return starts[segment];
  }

  /** Returns the end of a segment's entries, exclusive. */
  public int segmentEnd(int segment) {
    Objects.checkIndex(segment, segments);
    return starts[segment + 1];
  }

  /** Returns the token of an entry. */
  public int token(int entry) {
    Objects.checkIndex(entry, entries);
    return tokenIndices[entry];
  }

  /** Returns the weight of an entry. */
  public float weight(int entry) {
    Objects.checkIndex(entry, entries);
    return weights[entry];
  }

  /**
   * Returns a number that changes with every change of this batch, so that an executor can keep
   * what it derived from it over the layers of a step.
   */
  public long revision() {
    return revision;
  }
}
