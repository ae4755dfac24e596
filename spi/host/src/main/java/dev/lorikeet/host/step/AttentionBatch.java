package dev.lorikeet.host.step;

/**
 * Which token of a ragged batch is where: its sequence, its position, and where its sequence's
 * blocks lie. Tokens of a sequence are adjacent and in the order of their positions. Read by all
 * shards at once while a kernel runs; must not change meanwhile.
 */
public interface AttentionBatch extends Positions {
  /** Returns the number of tokens. */
  int tokens();

  /** Returns the number, in this batch, of the sequence that a token belongs to. */
  int sequenceOf(int token);

  /**
   * Returns where a block begins, in bytes from the start of the pool.
   *
   * @param sequence a sequence of this batch
   * @param block the block of positions {@code [block * blockTokens, (block + 1) * blockTokens)}
   * @param layer the layer
   */
  long blockOffset(int sequence, int block, int layer);
}
