package dev.lorikeet.jlama.kernel;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * The activations of a batch, copied once into the order in which the kernels of {@link MatMul}
 * read them, together with each worker's scratch memory. One panel serves every product of the same
 * input (q, k, v; gate, up), one after the other.
 *
 * <p>Allocated once by the host for its largest batch; {@link #close()} frees it. Its shards may
 * use it concurrently as {@link MatMul} says.
 */
public final class ActivationPanel implements AutoCloseable {
  private static final long ALIGNMENT = 64;

  private final Arena arena = Arena.ofShared();
  private final MemorySegment packed;
  private final MemorySegment[] scratch;
  private final int maxTokens;
  private final int maxColumns;
  private int tokens;
  private int columns;
  private int widest = MatMul.MAX_TOKEN_BLOCK;

  /**
   * Allocates a panel.
   *
   * @param maxTokens the largest number of tokens in a batch
   * @param maxColumns the largest number of input features
   * @param shards the number of workers that will use it
   */
  public ActivationPanel(int maxTokens, int maxColumns, int shards) {
    if (maxTokens < 1 || maxColumns < 1 || shards < 1) {
      throw new IllegalArgumentException(
          "activation panel: expected sizes of at least 1, found maxTokens "
              + maxTokens
              + ", maxColumns "
              + maxColumns
              + ", shards "
              + shards);
    }
    this.maxTokens = maxTokens;
    this.maxColumns = maxColumns;
    long padded = roundUp(maxColumns, MatMul.MAX_BLOCK);
    this.packed =
        arena.allocate(
            roundUp(maxTokens, MatMul.MAX_TOKEN_BLOCK) * padded * Float.BYTES, ALIGNMENT);
    this.scratch = new MemorySegment[shards];
    for (int shard = 0; shard < shards; shard++) {
      scratch[shard] = arena.allocate(MatMul.scratchBytes(padded), ALIGNMENT);
    }
  }

  /** Returns the number of tokens that were packed last. */
  public int tokens() {
    return tokens;
  }

  /** Returns the number of input features that were packed last. */
  public int columns() {
    return columns;
  }

  /**
   * Lets kernels take one token at a time, or as many as they can: the results are the same bits.
   * Takes effect when the panel is packed next.
   */
  public void narrow(boolean narrow) {
    widest = narrow ? 1 : MatMul.MAX_TOKEN_BLOCK;
  }

  /** Returns how many tokens kernels take at once: 1 or MAX_TOKEN_BLOCK. */
  int widest() {
    return widest;
  }

  /** Returns the number of tokens of a block of which {@code left} tokens are left. */
  int blockWidth(int left) {
    return widest == 1 ? 1 : MatMul.blockWidth(left);
  }

  /** Returns the bytes of the panel and of all workers' scratch memory. */
  public long bytes() {
    return packed.byteSize() + scratch.length * scratch[0].byteSize();
  }

  /** Frees the memory. Must not overlap a kernel that uses it. */
  @Override
  public void close() {
    arena.close();
  }

  MemorySegment packed() {
    return packed;
  }

  MemorySegment scratch(Shard shard) {
    return scratch[shard.worker()];
  }

  /** Every shard sets the same values, so that none depends on the order in which they start. */
  void reshape(int newTokens, int newColumns) {
    if (newTokens < 1 || newTokens > maxTokens || newColumns < 1 || newColumns > maxColumns) {
      throw new IllegalArgumentException(
          "activation panel: expected 1 to "
              + maxTokens
              + " tokens of 1 to "
              + maxColumns
              + " features, found ["
              + newTokens
              + ", "
              + newColumns
              + "]");
    }
    tokens = newTokens;
    columns = newColumns;
  }

  void checkFits(WeightMatrix weights) {
    if (weights.columns() != columns) {
      throw new IllegalArgumentException(
          "matmul: the weights have "
              + weights.columns()
              + " columns, the packed activations "
              + columns);
    }
  }

  static long roundUp(long value, long multiple) {
    return (value + multiple - 1) / multiple * multiple;
  }
}
