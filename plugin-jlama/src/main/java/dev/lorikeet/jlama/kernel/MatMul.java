package dev.lorikeet.jlama.kernel;

/**
 * y = x W^T for a batch of tokens: x {@code [tokens, in]}, W {@code [out, in]}, y {@code [tokens,
 * out]}.
 *
 * <p>A product takes two phases of a {@link WorkerTeam}, so that several weights share the first;
 * the second may be repeated:
 *
 * <pre>{@code
 * case 0 -> matMul.pack(panel, x, tokens, shard);
 * case 1 -> {                                 // all of x is packed
 *   matMul.multiply(q, panel, yq, shard);
 *   matMul.multiply(k, panel, yk, shard);
 * }                                           // from here on the panel may be packed anew
 * }</pre>
 *
 * <p>The result for a token depends on that token's x and on W alone: not on the other tokens, on
 * how many there are, or on the number of shards, bit for bit. It depends on the implementation and
 * on the width of the vector unit. Sums are float32.
 *
 * <p>Implementations are stateless and allocate nothing. Memory must stay alive while a call runs;
 * sizes are checked once per call, with {@link IllegalArgumentException}.
 */
public sealed interface MatMul permits ScalarMatMul, VectorMatMul {
  /**
   * The longest run of columns that kernels handle at once: two vectors of 512 bits. Packed rows
   * are padded to a multiple of it.
   */
  int MAX_BLOCK = 32;

  /** The largest number of tokens that kernels handle at once. */
  int MAX_TOKEN_BLOCK = 4;

  /** Rows of weights that make a tile: a shard's slice of the output is a whole number of tiles. */
  int TILE_ROWS = 16;

  /** The largest number of tokens whose sums a worker keeps at once. */
  int MAX_GROUP_TOKENS = 16;

  /**
   * Copies one shard's part of x into the panel.
   *
   * @param panel receives x; its former content is lost
   * @param x {@code [tokens, features]}
   * @param tokens the number of rows, at least 1
   * @param shard this shard; all must be done before any calls {@link #multiply}
   */
  void pack(ActivationPanel panel, Rows x, int tokens, Shard shard);

  /**
   * Copies one shard's part of the tokens of an expert into the panel, in the order of its entries.
   *
   * @param panel receives them; its former content is lost
   * @param x {@code [tokens, features]}, the rows of all tokens
   * @param groups of the batch
   * @param expert an expert that has entries
   * @param shard this shard; all must be done before any calls {@link #multiply}
   */
  void pack(ActivationPanel panel, Rows x, ExpertGroups groups, int expert, Shard shard);

  /**
   * Computes one shard's slice of the output features for all packed tokens.
   *
   * @param weights W; as many columns as were packed
   * @param panel the packed activations
   * @param y receives the product, {@code [tokens, rows of W]}; overwritten
   */
  void multiply(WeightMatrix weights, ActivationPanel panel, Rows y, Shard shard);

  /**
   * Returns the bytes of scratch memory that each worker needs for rows of at most {@code
   * paddedColumns}: sums, reduced sums and widened weights of a tile, whatever the vector width.
   */
  static long scratchBytes(long paddedColumns) {
    return (MAX_GROUP_TOKENS * 16L + 1) * TILE_ROWS * Float.BYTES
        + TILE_ROWS * paddedColumns * Float.BYTES;
  }

  /** Returns the number of tokens of a block of which {@code left} tokens are left: 1, 2 or 4. */
  static int blockWidth(int left) {
    return left > 2 ? MAX_TOKEN_BLOCK : left;
  }

  /** Checks the operands of {@link #multiply}. */
  static void checkOutput(WeightMatrix weights, ActivationPanel panel, Rows y) {
    panel.checkFits(weights);
    y.check("y", panel.tokens(), weights.rows());
  }
}
