package dev.lorikeet.jlama.kernel;

import dev.lorikeet.tensor.ElementType;

/**
 * Grouped-query attention over a paged KV cache: its sizes and what becomes of scores. A block of
 * the cache holds, for one layer, the keys of {@code blockTokens} consecutive positions {@code
 * [kvHeads, blockTokens, headDim]} and after them their values, in the same shape: what a head
 * reads is contiguous.
 *
 * @param heads number of query heads; query head h reads key and value head {@code h / (heads /
 *     kvHeads)}
 * @param kvHeads number of key and value heads; divides {@code heads}
 * @param headDim width of a head
 * @param blockTokens positions in a block
 * @param type how keys and values are stored, F32 or F16
 * @param scale factor of the scores, greater than 0
 * @param softCap if not 0, scores become softCap * tanh(score * scale / softCap)
 * @param window how many positions a token sees, its own the last; at least 1
 */
public record AttentionShape(
    int heads,
    int kvHeads,
    int headDim,
    int blockTokens,
    ElementType type,
    float scale,
    float softCap,
    int window) {
  /** The window of a token that sees all positions up to its own. */
  public static final int NO_WINDOW = Integer.MAX_VALUE;

  public AttentionShape {
    if (heads < 1 || kvHeads < 1 || headDim < 1 || blockTokens < 1 || heads % kvHeads != 0) {
      throw new IllegalArgumentException(
          "attention: expected sizes of at least 1 and heads to be a multiple of kvHeads, found"
              + " heads "
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
    if (!(scale > 0 && scale < Float.POSITIVE_INFINITY)
        || !(softCap >= 0 && softCap < Float.POSITIVE_INFINITY)
        || window < 1) {
      throw new IllegalArgumentException(
          "attention: expected a finite scale above 0, a finite softCap of at least 0 and a window"
              + " of at least 1, found scale "
              + scale
              + ", softCap "
              + softCap
              + ", window "
              + window);
    }
  }

  /** Attention to all positions up to a token's own, with a scale of 1 / sqrt(headDim). */
  public AttentionShape(int heads, int kvHeads, int headDim, int blockTokens, ElementType type) {
    this(
        heads,
        kvHeads,
        headDim,
        blockTokens,
        type,
        (float) (1 / Math.sqrt(Math.max(1, headDim))),
        0,
        NO_WINDOW);
  }

  /** Returns the same with another scale. */
  public AttentionShape withScale(float newScale) {
    return new AttentionShape(
        heads, kvHeads, headDim, blockTokens, type, newScale, softCap, window);
  }

  /** Returns the same with another cap of the scores; 0 for none. */
  public AttentionShape withSoftCap(float newSoftCap) {
    return new AttentionShape(
        heads, kvHeads, headDim, blockTokens, type, scale, newSoftCap, window);
  }

  /** Returns the same with another window; {@link #NO_WINDOW} for none. */
  public AttentionShape withWindow(int newWindow) {
    return new AttentionShape(
        heads, kvHeads, headDim, blockTokens, type, scale, softCap, newWindow);
  }

  /** Returns whether the sizes are the same, whatever becomes of the scores. */
  boolean sizedAs(AttentionShape other) {
    return heads == other.heads
        && kvHeads == other.kvHeads
        && headDim == other.headDim
        && blockTokens == other.blockTokens
        && type == other.type;
  }

  /** Returns the first position that a token at {@code position} sees. */
  int firstVisible(int position) {
    return Math.max(0, position - window + 1);
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

  /** Returns the number of query heads that share a key and value head. */
  public int group() {
    return heads / kvHeads;
  }
}
