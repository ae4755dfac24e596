package dev.lorikeet.jlama.kernel;

import dev.lorikeet.tensor.ElementType;

/**
 * The sizes of grouped-query attention over a paged KV cache. A block of the cache holds, for one
 * layer, the keys of {@code blockTokens} consecutive positions {@code [kvHeads, blockTokens,
 * headDim]} and after them their values, in the same shape: what a head reads is contiguous.
 *
 * @param heads number of query heads; query head h reads key and value head {@code h / (heads /
 *     kvHeads)}
 * @param kvHeads number of key and value heads; divides {@code heads}
 * @param headDim width of a head
 * @param blockTokens positions in a block
 * @param type how keys and values are stored, F32 or F16
 */
public record AttentionShape(
    int heads, int kvHeads, int headDim, int blockTokens, ElementType type) {
  public AttentionShape {
    if (heads < 1 || kvHeads < 1 || headDim < 1 || blockTokens < 1 || heads % kvHeads != 0) {
      throw new IllegalArgumentException(
          "attention: expected sizes of at least 1 and heads to be a multiple of kvHeads, found heads "
              + heads
              + ", kvHeads "
              + kvHeads
              + ", headDim "
              + headDim
              + ", blockTokens "
              + blockTokens);
    }
    if (type == ElementType.BF16) {
      throw new IllegalArgumentException(
          "attention: expected a KV cache of F32 or F16, found BF16");
    }
  }

  /** Returns the bytes of a key, or a value, of one position and head. */
  public long headBytes() {
    return (long) headDim * type.bytes();
  }

  /** Returns the bytes of a block: keys and values. */
  public long blockBytes() {
    return 2L * blockTokens * kvHeads * headBytes();
  }

  /** Returns where in a block a key begins. */
  long keyOffset(int kvHead, int place) {
    return ((long) kvHead * blockTokens + place) * headBytes();
  }

  /** Returns where in a block a value begins. */
  long valueOffset(int kvHead, int place) {
    return blockBytes() / 2 + keyOffset(kvHead, place);
  }

  /** Returns the factor of the scores: 1 / sqrt(headDim). */
  public float scale() {
    return (float) (1 / Math.sqrt(headDim));
  }

  /** Returns the number of query heads that share a key and value head. */
  public int group() {
    return heads / kvHeads;
  }
}
