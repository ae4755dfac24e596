package dev.lorikeet.jlama.kernel;

import dev.lorikeet.host.step.Positions;
import java.lang.foreign.MemorySegment;

/**
 * Operations on rows of float32 activations, one row per token, at a distance of {@code stride}
 * bytes. Each call does one shard's part; shards share out whole tokens, all in the same way, which
 * is also that of {@link MatMul#pack} and {@link PagedAttention#write}: such operations may follow
 * one another without a barrier. Only {@link #addBias}, which follows a product, shares out
 * columns.
 *
 * <p>A token's result depends on that token alone, bit for bit. Implementations are stateless and
 * allocate nothing. Segments must be native, aligned to 4 bytes, and stay alive while a call runs;
 * sizes are checked once per call, with {@link IllegalArgumentException}.
 */
public sealed interface Elementwise permits ScalarElementwise, VectorElementwise {
  /**
   * y = x / sqrt(mean(x^2) + epsilon) * weight, as Hugging Face's LlamaRMSNorm in float32. x and y
   * may be the same.
   *
   * @param weight {@code columns} float32
   */
  void rmsNorm(
      MemorySegment x,
      long xStride,
      MemorySegment weight,
      float epsilon,
      MemorySegment y,
      long yStride,
      int tokens,
      int columns,
      int shard,
      int shards);

  /** y += x. */
  void add(
      MemorySegment x,
      long xStride,
      MemorySegment y,
      long yStride,
      int tokens,
      int columns,
      int shard,
      int shards);

  /**
   * y += bias for every token.
   *
   * @param bias {@code columns} float32
   */
  void addBias(
      MemorySegment bias,
      MemorySegment y,
      long yStride,
      int tokens,
      int columns,
      int shard,
      int shards);

  /**
   * y = silu(gate) * up with silu(g) = g / (1 + exp(-g)). y may be gate or up. The relative error
   * of silu is below 2^-21, its absolute error below 2^-119 for gates under -88.
   */
  void swiGlu(
      MemorySegment gate,
      long gateStride,
      MemorySegment up,
      long upStride,
      MemorySegment y,
      long yStride,
      int tokens,
      int columns,
      int shard,
      int shards);

  /**
   * Rotary position embedding in place, in the rotate-half layout: elements i and i + headDim/2 of
   * a head become (a cos - b sin, b cos + a sin).
   *
   * @param x {@code [tokens, heads * headDim]}
   * @param cos {@code [positions, headDim / 2]} float32, dense
   * @param sin as {@code cos}
   * @param positions the row of the tables for each token
   */
  void rope(
      MemorySegment x,
      long xStride,
      int heads,
      int headDim,
      MemorySegment cos,
      MemorySegment sin,
      Positions positions,
      int tokens,
      int shard,
      int shards);

  /**
   * Replaces a row by its softmax: exp(x - max(x)) / sum. The relative error of an element is below
   * 2^-20.
   */
  void softmax(MemorySegment x, int columns);

  /**
   * Returns the index of the largest element of a row, the first among equals; NaNs are never the
   * largest. 0 for a row of NaNs.
   */
  int argmax(MemorySegment x, int columns);
}
