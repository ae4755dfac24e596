package dev.lorikeet.training.stage;

import dev.lorikeet.shape.Projection;

/**
 * Which elements of the inputs of an adapter's modules a sequence does without: each with the same
 * probability, the others multiplied by its inverse, as PEFT's {@code lora_dropout} has it. What is
 * left out follows from the key, the layer, the input, the position and the element alone, so that
 * it can be drawn again for the backward, by any stage, whatever else is in the micro-batch. The
 * modules of one input (q, k and v; gate and up) do without the same elements.
 *
 * @param probability from 0, for nothing, to below 1; counted in 65,536ths
 * @param key what is drawn from, another one for each sequence and step
 */
public record Dropout(float probability, long key) {
  /** Leaves out nothing. */
  public static final Dropout NONE = new Dropout(0, 0);

  private static final long GOLDEN = 0x9E37_79B9_7F4A_7C15L;
  private static final int PARTS = 1 << 16;

  public Dropout {
    if (!(probability >= 0 && probability < 1)) {
      throw new IllegalArgumentException(
          "dropout: expected a probability from 0 to below 1, found " + probability);
    }
  }

  /** Returns whether it leaves out anything. */
  public boolean drops() {
    return probability > 0;
  }

  /**
   * Multiplies a row of an input, or of its gradient, by 0 or the inverse of what is kept.
   *
   * @param layer of the model
   * @param first the first projection that has this input: q, o, gate or down
   * @param position in the sequence
   * @param row the row, changed in place
   * @param length how many elements it has
   */
  public void apply(int layer, Projection first, int position, float[] row, int length) {
    if (!drops()) {
      return;
    }
    int dropped = Math.round(probability * PARTS);
    float kept = (float) PARTS / (PARTS - dropped);
    long place = ((long) layer << 2 | input(first)) << 32 | position;
    long seed = mix(key + GOLDEN * (place + 1));
    for (int at = 0; at < length; at += 4) {
      long bits = mix(seed + GOLDEN * (at + 1));
      for (int i = at; i < Math.min(at + 4, length); i++, bits >>>= 16) {
        row[i] = (bits & (PARTS - 1)) < dropped ? 0 : row[i] * kept;
      }
    }
  }

  private static int input(Projection first) {
    return switch (first) {
      case Q -> 0;
      case O -> 1;
      case GATE -> 2;
      case DOWN -> 3;
      default ->
          throw new IllegalArgumentException(
              "dropout: expected q, o, gate or down, the first module of an input, found " + first);
    };
  }

  /** Mixes bits as SplittableRandom does (Steele, Lea and Flood, OOPSLA 2014). */
  public static long mix(long bits) {
    long z = (bits ^ bits >>> 30) * 0xBF58_476D_1CE4_E5B9L;
    z = (z ^ z >>> 27) * 0x94D0_49BB_1331_11EBL;
    return z ^ z >>> 31;
  }
}
