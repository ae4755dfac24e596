package dev.lorikeet.host.sampling;

import dev.lorikeet.model.Sampling;
import java.util.random.RandomGenerator;

/**
 * Draws tokens from logits. One per decoding thread: it keeps scratch arrays, so that drawing
 * allocates nothing.
 */
public final class Sampler {
  /*
   * Filters as in Hugging Face's generation: temperature, then top-k (all tokens with a logit of at least the k-th
   * largest stay), then top-p (the likeliest tokens stay until their probabilities sum to at least p). Order is that of
   * 64-bit keys: the logit in an order-preserving form above, the token id inverted below, so that equal logits are
   * ordered by id. The keys are made a heap and popped as far as the filters need, which a sort would do for all of
   * them, and not without allocating. Cost: O(vocabulary + stay log vocabulary). Without filters nothing is ordered.
   */
  private final double[] probabilities;
  private final long[] keys;

  public Sampler(int vocabulary) {
    probabilities = new double[vocabulary];
    keys = new long[vocabulary];
  }

  /**
   * Draws a token.
   *
   * @param logits at least as many as the vocabulary; only read
   */
  public int draw(float[] logits, int vocabulary, Sampling sampling, RandomGenerator random) {
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
    heapify(vocabulary);
    float temperature = sampling.temperature();
    double max = logits[id(keys[0])];
    boolean limited = sampling.topK() > 0 && sampling.topK() < vocabulary;
    int stay = 0;
    double total = 0;
    if (limited) {
      while (stay < sampling.topK()
          || (stay < vocabulary && keys[0] >> 32 == keys[vocabulary - sampling.topK()] >> 32)) {
        pop(vocabulary - stay);
        probabilities[stay] = Math.exp((logits[token(vocabulary, stay)] - max) / temperature);
        total += probabilities[stay++];
      }
    } else {
      stay = vocabulary;
      for (int i = 0; i < vocabulary; i++) {
        total += Math.exp((logits[i] - max) / temperature);
      }
    }
    if (sampling.topP() < 1f) {
      double kept = 0;
      int n = 0;
      while (n < stay && (n == 0 || kept < sampling.topP() * total)) {
        if (!limited) {
          pop(vocabulary - n);
          probabilities[n] = Math.exp((logits[token(vocabulary, n)] - max) / temperature);
        }
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

  /** Makes the first keys a heap with the largest at its root. */
  private void heapify(int size) {
    for (int i = size / 2 - 1; i >= 0; i--) {
      sink(i, keys[i], size);
    }
  }

  /** Moves the root of a heap to its last place, which the heap leaves. */
  private void pop(int size) {
    long root = keys[0];
    long last = keys[size - 1];
    keys[size - 1] = root;
    if (size > 1) {
      sink(0, last, size - 1);
    }
  }

  /** Puts a key where a heap has a gap, or below. */
  private void sink(int gap, long key, int size) {
    int at = gap;
    for (int child = 2 * at + 1; child < size; child = 2 * at + 1) {
      if (child + 1 < size && keys[child + 1] > keys[child]) {
        child++;
      }
      if (keys[child] <= key) {
        break;
      }
      keys[at] = keys[child];
      at = child;
    }
    keys[at] = key;
  }

  /** Returns the token of a place in descending order of logits, which has been popped. */
  private int token(int vocabulary, int place) {
    return id(keys[vocabulary - 1 - place]);
  }

  private static int id(long key) {
    return Integer.MAX_VALUE - (int) key;
  }

  /** Maps a float to an int of the same order. */
  private static int ordered(float value) {
    int bits = Float.floatToIntBits(value + 0f);
    return bits ^ (bits >> 31 & Integer.MAX_VALUE);
  }
}
