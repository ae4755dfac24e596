package dev.lorikeet.host.step;

import dev.lorikeet.host.kv.KvPages;
import java.util.Arrays;

/**
 * The tokens of one iteration: a ragged batch of prefill chunks and single decode tokens of several
 * sequences. A reusable buffer of the decoding thread; steady use allocates nothing.
 */
public final class StepBatch implements AttentionBatch {
  private final int maxTokens;
  private final int[] tokenIds;
  private final int[] positions;
  private final int[] sequenceOf;
  private final KvPages[] pages;
  private final int[] logitTokens;
  private int tokens;
  private int sequences;
  private int logits;

  /**
   * Creates an empty batch.
   *
   * @param maxTokens the most tokens it can hold
   * @param maxSequences the most sequences it can hold
   * @param maxLogits the most tokens whose logits can be asked for
   */
  public StepBatch(int maxTokens, int maxSequences, int maxLogits) {
    this.maxTokens = maxTokens;
    tokenIds = new int[maxTokens];
    positions = new int[maxTokens];
    sequenceOf = new int[maxTokens];
    pages = new KvPages[maxSequences];
    logitTokens = new int[maxLogits];
  }

  /** Empties the batch. */
  public void reset() {
    Arrays.fill(pages, 0, sequences, null);
    tokens = 0;
    sequences = 0;
    logits = 0;
  }

  /**
   * Adds consecutive tokens of a sequence.
   *
   * @param kv the sequence's pages, with room for all of them
   * @param ids where the ids are
   * @param from the position of the first token, which is its place in {@code ids} as well
   * @param count how many tokens, at least 1
   */
  public void add(KvPages kv, int[] ids, int from, int count) {
    if (count < 1 || count > freeTokens() || sequences == pages.length) {
      throw new IllegalArgumentException("step batch: no room for " + count + " tokens");
    }
    if (kv.capacity() < from + count) {
      throw new IllegalArgumentException(
          "step batch: pages for "
              + (from + count)
              + " positions expected, found "
              + kv.capacity());
    }
    for (int i = 0; i < count; i++) {
      tokenIds[tokens + i] = ids[from + i];
      positions[tokens + i] = from + i;
      sequenceOf[tokens + i] = sequences;
    }
    tokens += count;
    pages[sequences++] = kv;
  }

  /**
   * Asks for the logits after a token.
   *
   * @return the row in which the decoder writes them
   */
  public int wantLogits(int token) {
    logitTokens[logits] = token;
    return logits++;
  }

  private int freeTokens() {
    return maxTokens - tokens;
  }

  @Override
  public int tokens() {
    return tokens;
  }

  /** Returns how many rows of logits were asked for. */
  public int logits() {
    return logits;
  }

  @Override
  public int position(int token) {
    return positions[token];
  }

  @Override
  public int sequenceOf(int token) {
    return sequenceOf[token];
  }

  @Override
  public long blockOffset(int sequence, int block, int layer) {
    return pages[sequence].blockOffset(block, layer);
  }

  public int tokenId(int token) {
    return tokenIds[token];
  }

  public int logitToken(int row) {
    return logitTokens[row];
  }

  /** Returns one more than the largest position. */
  public int endPosition() {
    int end = 0;
    for (int t = 0; t < tokens; t++) {
      end = Math.max(end, positions[t] + 1);
    }
    return end;
  }
}
