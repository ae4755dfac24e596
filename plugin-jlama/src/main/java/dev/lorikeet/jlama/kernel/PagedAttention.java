package dev.lorikeet.jlama.kernel;

import dev.lorikeet.host.step.AttentionBatch;
import java.lang.foreign.MemorySegment;

/**
 * Causal grouped-query attention over a KV cache in pages. For every token and query head:
 * softmax(scale * q . k_j) over the positions j = 0 .. position of the token, times v_j; in a
 * {@linkplain AttentionShape#window() window} over the last of them only, and with a {@linkplain
 * AttentionShape#softCap() cap} on the scores. One segment, the pool, holds all blocks of all
 * sequences; {@link AttentionBatch} says where.
 *
 * <p>A step writes the batch's own keys and values in one phase of a {@link WorkerTeam} and attends
 * in the next, which may be repeated:
 *
 * <pre>{@code
 * case 0 -> attention.write(shape, batch, layer, k, v, pool, shard);
 * case 1 -> attention.attend(shape, batch, layer, pool, q, out, scratch, shard);
 * }</pre>
 *
 * <p>What lies before the window of every token of a sequence in the batch is not read: its blocks
 * may be gone, and {@link AttentionBatch#blockOffset} is not asked for them.
 *
 * <p>A token's result depends on its q and on the keys and values of the positions it sees alone,
 * bit for bit: not on the other tokens, the chunk it came in, the number of shards or {@code
 * blockTokens}. Implementations are stateless and allocate nothing. Memory must be native and stay
 * alive while a call runs. Every block that is touched is checked to lie in the pool, with {@link
 * IllegalArgumentException}.
 */
public sealed interface PagedAttention permits ScalarPagedAttention, VectorPagedAttention {
  /**
   * Stores keys and values of one shard's tokens, rounded to the nearest even where the cache is
   * F16.
   *
   * @param k {@code [tokens, kvHeads * headDim]}, after RoPE
   * @param v as {@code k}
   * @param pool all blocks
   */
  void write(
      AttentionShape shape,
      AttentionBatch batch,
      int layer,
      Rows k,
      Rows v,
      MemorySegment pool,
      Shard shard);

  /**
   * Computes one shard's part of the tokens and heads.
   *
   * @param pool all blocks, with the keys and values of all positions that tokens see
   * @param q {@code [tokens, heads * headDim]}, after RoPE
   * @param out receives {@code [tokens, heads * headDim]}; may be q
   * @param scratch of this shape's sizes and for all workers
   */
  void attend(
      AttentionShape shape,
      AttentionBatch batch,
      int layer,
      MemorySegment pool,
      Rows q,
      Rows out,
      AttentionScratch scratch,
      Shard shard);

  /** Checks that a block lies in the pool and returns its address. */
  static long block(
      AttentionShape shape,
      AttentionBatch batch,
      int sequence,
      int block,
      int layer,
      MemorySegment pool) {
    long offset = batch.blockOffset(sequence, block, layer);
    if (offset < 0 || offset > pool.byteSize() - shape.blockBytes()) {
      throw new IllegalArgumentException(
          "attention: block "
              + block
              + " of sequence "
              + sequence
              + " at "
              + offset
              + " with "
              + shape.blockBytes()
              + " bytes is not in the pool of "
              + pool.byteSize());
    }
    return pool.address() + offset;
  }
}
