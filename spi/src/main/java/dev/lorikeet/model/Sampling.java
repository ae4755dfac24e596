package dev.lorikeet.model;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;

/**
 * How the next token is drawn. The filters apply in the order temperature, top-k, top-p, as in
 * Hugging Face's generation.
 *
 * <p>Make one with {@link #greedy} or {@link #of}: the canonical constructor may gain parameters.
 *
 * @param temperature 0 for greedy decoding (the smallest id among equal logits), else the divisor
 *     of the logits; finite, at least 0
 * @param topK how many of the likeliest tokens stay, 0 for all
 * @param topP the likeliest tokens stay until their probabilities sum to at least this; in (0, 1],
 *     1 for all
 * @param seed the seed of the request's own random sequence; the same seed, prompt and adapter give
 *     the same tokens whatever else is in the batch
 */
public record Sampling(float temperature, int topK, float topP, long seed) {
  private static final Sampling GREEDY = new Sampling(0f, 0, 1f, 0L);

  public Sampling {
    if (!(temperature >= 0) || Float.isInfinite(temperature)) {
      throw new LorikeetException(
          Code.INVALID_REQUEST, "temperature: expected a finite number >= 0, found " + temperature);
    }
    if (topK < 0) {
      throw new LorikeetException(Code.INVALID_REQUEST, "topK: expected >= 0, found " + topK);
    }
    if (!(topP > 0 && topP <= 1)) {
      throw new LorikeetException(Code.INVALID_REQUEST, "topP: expected (0, 1], found " + topP);
    }
  }

  /** Returns greedy decoding. */
  public static Sampling greedy() {
    return GREEDY;
  }

  /** Returns sampling at a temperature from all tokens. */
  public static Sampling of(float temperature, long seed) {
    return new Sampling(temperature, 0, 1f, seed);
  }

  /** Returns the same with only the likeliest tokens; 0 for all. */
  public Sampling withTopK(int topK) {
    return new Sampling(temperature, topK, topP, seed);
  }

  /** Returns the same with only the tokens whose probabilities sum to this; 1 for all. */
  public Sampling withTopP(float topP) {
    return new Sampling(temperature, topK, topP, seed);
  }

  /** Returns whether the likeliest token is taken every time. */
  public boolean isGreedy() {
    return temperature == 0f || topK == 1;
  }
}
