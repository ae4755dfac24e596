package dev.lorikeet.jlama.kernel;

import dev.lorikeet.host.step.AttentionBatch;
import java.lang.foreign.MemorySegment;

/**
 * Causal grouped-query attention over a KV cache in pages. For every token and query head:
 * softmax(scale * q . k_j) over the positions j = 0 .. position of the token, times v_j. One
 * segment, the pool, holds all blocks of all sequences; {@link AttentionBatch} says where.
 *
 * <p>A step writes the batch's own keys and values first, then attends:
 *
 * <pre>{@code
 * attention.write(shape, batch, layer, k, kStride, v, vStride, pool, shard, shards);
 * team.barrier();
 * attention.attend(shape, batch, layer, pool, q, qStride, out, outStride, scratch, shard, shards);
 * team.barrier();
 * }</pre>
 *
 * <p>A token's result depends on its q and on the keys and values of its positions alone, bit for
 * bit: not on the other tokens, the chunk it came in, the number of shards or {@code blockTokens}.
 * Implementations are stateless and allocate nothing. Segments must be native and stay alive while
 * a call runs. Every block that is touched is checked to lie in the pool, with {@link
 * IllegalArgumentException}.
 */
public sealed interface PagedAttention permits ScalarPagedAttention, VectorPagedAttention {
  /**
   * Stores keys and values of one shard's tokens, rounded to the nearest even where the cache is
   * F16.
   *
   * @param k float32 {@code [tokens, kvHeads * headDim]}, after RoPE
   * @param kStride bytes between rows of k
   * @param v as {@code k}
   * @param vStride bytes between rows of v
   * @param pool all blocks
   */
  void write(
      AttentionShape shape,
      AttentionBatch batch,
      int layer,
      MemorySegment k,
      long kStride,
      MemorySegment v,
      long vStride,
      MemorySegment pool,
      int shard,
      int shards);

  /**
   * Computes one shard's part of the tokens and heads.
   *
   * @param pool all blocks, with the keys and values of all positions of all tokens
   * @param q float32 {@code [tokens, heads * headDim]}, after RoPE
   * @param qStride bytes between rows of q
   * @param out receives float32 {@code [tokens, heads * headDim]}; may be q
   * @param outStride bytes between rows of out
   * @param scratch of this shape and at least {@code shards} shards
   */
  void attend(
      AttentionShape shape,
      AttentionBatch batch,
      int layer,
      MemorySegment pool,
      MemorySegment q,
      long qStride,
      MemorySegment out,
      long outStride,
      AttentionScratch scratch,
      int shard,
      int shards);

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
