package dev.lorikeet.jlama.kernel;

import dev.lorikeet.host.step.Positions;
import java.lang.foreign.MemorySegment;

/**
 * Operations on rows of activations, one row per token, of which a call takes the first {@code
 * tokens}. Each call does one shard's part; shards share out whole tokens, all in the same way,
 * which is also that of {@link MatMul#pack} and {@link PagedAttention#write}: such operations may
 * follow one another without a barrier. Only {@link #addBias}, which follows a product, shares out
 * columns.
 *
 * <p>A token's result depends on that token alone, bit for bit. Implementations are stateless and
 * allocate nothing. Memory must stay alive while a call runs; sizes are checked once per call, with
 * {@link IllegalArgumentException}.
 */
public sealed interface Elementwise permits ScalarElementwise, VectorElementwise {
  /**
   * y = x / sqrt(mean(x^2) + epsilon) * weight, as Hugging Face's LlamaRMSNorm in float32. x and y
   * may be the same.
   *
   * @param weight as many float32 as x has columns, aligned to 4 bytes
   */
  void rmsNorm(Rows x, MemorySegment weight, float epsilon, Rows y, int tokens, Shard shard);

  /**
   * The same in place for each head of a row.
   *
   * @param x {@code [tokens, heads * headDim]}
   * @param weight {@code headDim} float32, aligned to 4 bytes
   */
  void rmsNormHeads(Rows x, MemorySegment weight, float epsilon, int tokens, Shard shard);

  /**
   * y = (x - mean(x)) / sqrt(var(x) + epsilon) * weight + bias, with the variance of a population:
   * the mean of the squares of x - mean(x). x and y may be the same.
   *
   * @param weight as many float32 as x has columns, aligned to 4 bytes
   * @param bias as {@code weight}
   */
  void layerNorm(
      Rows x,
      MemorySegment weight,
      MemorySegment bias,
      float epsilon,
      Rows y,
      int tokens,
      Shard shard);

  /** y += x. */
  void add(Rows x, Rows y, int tokens, Shard shard);

  /** y += factor * x, rounded once. */
  void addScaled(Rows x, float factor, Rows y, int tokens, Shard shard);

  /**
   * Adds to each token what its experts made of it, times their weights, one expert after the other
   * in ascending order, each with one rounding.
   *
   * @param groups of the batch
   * @param outputs a row for each entry
   */
  void addExperts(ExpertGroups groups, Rows outputs, Rows y, int tokens, Shard shard);

  /**
   * y += bias for every token.
   *
   * @param bias as many float32 as y has columns, aligned to 4 bytes
   */
  void addBias(MemorySegment bias, Rows y, int tokens, Shard shard);

  /**
   * y += weight * (slope * y + offset) for one row, in two roundings of an element.
   *
   * @param slope as many float32 as y has columns, aligned to 4 bytes
   * @param offset likewise
   */
  void addAffine(MemorySegment slope, MemorySegment offset, float weight, Rows y, int row);

  /**
   * y = silu(gate) * up with silu(g) = g / (1 + exp(-g)). y may be gate or up. The relative error
   * of silu is below 2^-21, its absolute error below 2^-119 for gates under -88.
   */
  void swiGlu(Rows gate, Rows up, Rows y, int tokens, Shard shard);

  /**
   * y = gelu(gate) * up, with {@link #gelu} and one more rounding. y may be gate or up.
   *
   * @param up as many columns as gate has
   */
  void geGlu(Rows gate, Rows up, Rows y, int tokens, Shard shard);

  /**
   * y = gelu(x) = 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))), as Hugging Face's
   * gelu_pytorch_tanh and gelu_new. y may be x. The error is below 2^-22 |x|, and for x above -3
   * below 2^-20 of the result. Infinities give infinity and 0.
   */
  void gelu(Rows x, Rows y, int tokens, Shard shard);

  /**
   * y = erfGelu(gate) * up, with {@link #erfGelu} and one more rounding. y may be gate or up.
   *
   * @param up as many columns as gate has
   */
  void erfGeGlu(Rows gate, Rows up, Rows y, int tokens, Shard shard);

  /**
   * y = x / 2 * (1 + erf(x / sqrt(2))), as Hugging Face's gelu. y may be x. The error is below
   * 2^-22 |x|, and for x above -13 below 2^-20 of the result. Infinities give infinity and 0.
   */
  void erfGelu(Rows x, Rows y, int tokens, Shard shard);

  /**
   * Rotary position embedding in place, in the rotate-half layout: elements i and i + h of a head,
   * with h the number of frequencies, become (a cos - b sin, b cos + a sin). Elements from 2h on
   * stay as they are.
   *
   * @param x {@code [tokens, heads * headDim]}
   * @param table the angles; covers the positions of all tokens
   * @param positions the position of each token
   */
  void rope(Rows x, RopeTable table, Positions positions, int tokens, Shard shard);

  /**
   * Replaces a row by its softmax: exp(x - max(x)) / sum. The relative error of an element is below
   * 2^-20.
   */
  void softmax(Rows x, int row);

  /**
   * Replaces a row x by cap * tanh(x * factor / cap), or by x * factor if cap is 0. The relative
   * error of an element is below 2^-21.
   *
   * @param cap what no element exceeds, at least 0
   */
  void cap(Rows x, int row, float factor, float cap);

  /**
   * Returns the index of the largest element of a row, the first among equals; NaNs are never the
   * largest. 0 for a row of NaNs.
   */
  int argmax(Rows x, int row);

  /** Checks the bound of {@link #cap}. */
  static void checkCap(float cap) {
    if (!(cap >= 0)) {
      throw new IllegalArgumentException("cap: expected at least 0, found " + cap);
    }
  }

  /**
   * Returns the width of a head, by the weights of its norm, after checking that rows are heads.
   */
  static int headDim(Rows x, MemorySegment weight) {
    long headDim = weight.byteSize() / Float.BYTES;
    if (headDim < 1 || x.columns() % headDim != 0) {
      throw new IllegalArgumentException(
          "heads: expected rows of a multiple of " + headDim + " columns, found " + x.columns());
    }
    return (int) headDim;
  }
}
