package dev.lorikeet.host.kv;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.tensor.ElementType;

/**
 * How keys and values lie in pages. A page holds {@code blockTokens} consecutive positions of
 * {@code pageLayers} consecutive layers; a block of positions for the whole model is {@code
 * blockPages} pages. Inside a page, for each of its layers {@code 2 * blockTokens * kvWidth}
 * elements: keys, then values, in whatever order a decoder reads them.
 *
 * @param type element type of keys and values, F32 or F16
 * @param pageBytes size of a page
 * @param kvWidth elements of a key, and of a value, per position and layer
 * @param blockTokens positions in a page
 * @param pageLayers layers in a page
 * @param blockPages pages of a block: layers of the model divided by {@code pageLayers}, rounded up
 */
public record KvGeometry(
    ElementType type, int pageBytes, int kvWidth, int blockTokens, int pageLayers, int blockPages) {
  /*
   * Idea: a page of one layer for many positions wastes half a page per layer at the end of a sequence; a page of all
   * layers for few positions wastes what one more position does not fill. Between the two we take the number of layers
   * per page with the least expected waste over sequences of 64 to 1,024 positions.
   */
  private static final int SHORT_SEQUENCE = 64;
  private static final int LONG_SEQUENCE = 1024;

  /** Chooses the geometry with the least expected waste. */
  static KvGeometry choose(ElementType type, int pageBytes, int layers, int kvWidth) {
    long positionBytes = 2L * kvWidth * type.bytes();
    KvGeometry best = null;
    double leastBytes = Double.MAX_VALUE;
    for (int pageLayers = 1; pageLayers <= layers; pageLayers++) {
      int blockTokens = (int) Math.min(LONG_SEQUENCE, pageBytes / (positionBytes * pageLayers));
      if (blockTokens < 1) {
        break;
      }
      int blockPages = (layers + pageLayers - 1) / pageLayers;
      double bytes = 0;
      for (int tokens = SHORT_SEQUENCE; tokens <= LONG_SEQUENCE; tokens += SHORT_SEQUENCE / 4) {
        int blocks = (tokens + blockTokens - 1) / blockTokens;
        bytes += (double) blocks * blockPages * pageBytes / tokens;
      }
      if (bytes < leastBytes) {
        leastBytes = bytes;
        best = new KvGeometry(type, pageBytes, kvWidth, blockTokens, pageLayers, blockPages);
      }
    }
    if (best == null) {
      throw new LorikeetException(
          Code.TOO_LARGE,
          "page size: one position of one layer takes "
              + positionBytes
              + " bytes of KV cache, a page has "
              + pageBytes);
    }
    return best;
  }

  /** Returns how many pages a sequence of this length needs. */
  long pagesFor(long tokens) {
    return (tokens + blockTokens - 1) / blockTokens * blockPages;
  }

  /** Returns the bytes of one position of one layer: key and value. */
  long positionBytes() {
    return 2L * kvWidth * type.bytes();
  }

  /** Returns where a layer begins inside its page, in bytes. */
  long layerOffset(int layer) {
    return (long) (layer % pageLayers) * blockTokens * positionBytes();
  }

  /** Returns which page of a block holds a layer. */
  int pageOfLayer(int layer) {
    return layer / pageLayers;
  }
}
