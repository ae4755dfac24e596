package dev.lorikeet.jlama.serving;

import dev.lorikeet.model.Sampling;
import java.util.Arrays;
import java.util.random.RandomGenerator;

/**
 * Draws tokens from logits. One per decoding thread: it keeps scratch arrays, so that drawing
 * allocates nothing.
 */
final class Sampler {
  /*
   * Filters as in Hugging Face's generation: temperature, then top-k (all tokens with a logit of at least the k-th largest stay), then top-p (the likeliest tokens stay
   * until their probabilities sum to at least p). Sorting is over 64-bit keys: the logit in an order-preserving form above, the token id inverted below, so that equal logits are
   * ordered by id. Without filters nothing is sorted.
   */
  private final double[] probabilities;
  private final long[] keys;

  Sampler(int vocabulary) {
    probabilities = new double[vocabulary];
    keys = new long[vocabulary];
  }

  /**
   * Draws a token.
   *
   * @param logits at least as many as the vocabulary; only read
   */
  int draw(float[] logits, int vocabulary, Sampling sampling, RandomGenerator random) {
    boolean filtered =
        (sampling.topK() > 0 && sampling.topK() < vocabulary) || sampling.topP() < 1f;
    return filtered
        ? drawFiltered(logits, vocabulary, sampling, random)
        : drawFromAll(logits, vocabulary, sampling.temperature(), random);
  }

  private int drawFromAll(
      float[] logits, int vocabulary, float temperature, RandomGenerator random) {
    double max = logits[0];
    for (int i = 1; i < vocabulary; i++) {
      max = Math.max(max, logits[i]);
    }
    double total = 0;
    for (int i = 0; i < vocabulary; i++) {
      total += probabilities[i] = Math.exp((logits[i] - max) / temperature);
    }
    double rest = random.nextDouble() * total;
    int last = 0;
    for (int i = 0; i < vocabulary; i++) {
      if (probabilities[i] > 0) {
        last = i;
        rest -= probabilities[i];
        if (rest < 0) {
          return i;
        }
      }
    }
    return last;
  }

  private int drawFiltered(
      float[] logits, int vocabulary, Sampling sampling, RandomGenerator random) {
    for (int i = 0; i < vocabulary; i++) {
      keys[i] = (long) ordered(logits[i]) << 32 | (Integer.MAX_VALUE - i);
    }
    Arrays.sort(keys, 0, vocabulary);
    int stay = vocabulary;
    if (sampling.topK() > 0 && sampling.topK() < vocabulary) {
      stay = sampling.topK();
      while (stay < vocabulary
          && keys[vocabulary - 1 - stay] >> 32 == keys[vocabulary - sampling.topK()] >> 32) {
        stay++;
      }
    }
    double max = logits[token(vocabulary, 0)];
    double total = 0;
    for (int i = 0; i < stay; i++) {
      total +=
          probabilities[i] =
              Math.exp((logits[token(vocabulary, i)] - max) / sampling.temperature());
    }
    if (sampling.topP() < 1f) {
      double kept = 0;
      int n = 0;
      while (n < stay && (n == 0 || kept < sampling.topP() * total)) {
        kept += probabilities[n++];
      }
      stay = n;
      total = kept;
    }
    double rest = random.nextDouble() * total;
    for (int i = 0; i < stay - 1; i++) {
      rest -= probabilities[i];
      if (rest < 0) {
        return token(vocabulary, i);
      }
    }
    int last = stay - 1;
    while (last > 0 && probabilities[last] == 0) {
      last--;
    }
    return token(vocabulary, last);
  }

  /** Returns the token of a place in descending order of logits. */
  private int token(int vocabulary, int place) {
    return Integer.MAX_VALUE - (int) keys[vocabulary - 1 - place];
  }

  /** Maps a float to an int of the same order. */
  private static int ordered(float value) {
    int bits = Float.floatToIntBits(value + 0f);
    return bits ^ (bits >> 31 & Integer.MAX_VALUE);
  }
}
