package dev.lorikeet.jlama.kernel;

/**
 * Where a shard of {@link VectorPagedAttention} keeps what, in bytes from the start of its scratch
 * memory. A slot is one query head of one token; the query heads of a token that share a key and
 * value head fill {@code slots} slots, a multiple of the widths that the kernels take at once.
 *
 * @param padded floats of a head, rounded up to whole blocks
 * @param slots slots of a token
 * @param queries packed queries {@code [token][slot block][column block][slot][block]}
 * @param keys widened keys {@code [TILE][padded]}
 * @param values widened values {@code [TILE][padded]}
 * @param sums unreduced scores of one token and 16 positions {@code [slot][LANES][L]}
 * @param weights scores, then weights {@code [slot][TILE]} of one token
 * @param state for every slot: {@code [LANES]} partial sums of the weights
 * @param max for every slot: the largest score so far
 * @param out for every slot: {@code [padded]} weighted sums of values
 * @param bytes size of the scratch memory
 */
record AttentionTile(
    int padded,
    int slots,
    long queries,
    long keys,
    long values,
    long sums,
    long weights,
    long state,
    long max,
    long out,
    long bytes) {
  /** Positions that are handled at once. */
  static final int TILE = 64;

  /** Positions whose scores are reduced at once, and partial sums of the weights. */
  static final int LANES = MatMul.TILE_ROWS;

  /** Tokens of a sequence that share the widened keys and values. */
  static final int TOKENS = 16;

  /** Returns the positions that are computed for so many that count: whole groups of LANES. */
  static int computed(int visible) {
    return (int) ActivationPanel.roundUp(visible, LANES);
  }

  static AttentionTile of(AttentionShape shape) {
    int padded = (int) ActivationPanel.roundUp(shape.headDim(), MatMul.MAX_BLOCK);
    int slots = slots(shape.group());
    long all = (long) TOKENS * slots;
    long queries = 0;
    long keys = queries + all * padded * 4;
    long values = keys + (long) TILE * padded * 4;
    long sums = values + (long) TILE * padded * 4;
    long weights = sums + (long) slots * LANES * 64;
    long state = weights + (long) slots * TILE * 4;
    long max = state + all * LANES * 4;
    long out = max + ActivationPanel.roundUp(all * 4, 64);
    return new AttentionTile(
        padded,
        slots,
        queries,
        keys,
        values,
        sums,
        weights,
        state,
        max,
        out,
        out + all * padded * 4);
  }

  /**
   * Returns the slots of {@code group} query heads: whole blocks, of which the last may be
   * narrower.
   */
  static int slots(int group) {
    int whole = group / MatMul.MAX_TOKEN_BLOCK * MatMul.MAX_TOKEN_BLOCK;
    return group == whole ? whole : whole + MatMul.blockWidth(group - whole);
  }
}
