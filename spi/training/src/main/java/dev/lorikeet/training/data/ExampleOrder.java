package dev.lorikeet.training.data;

import java.util.Objects;

/**
 * Which example is the n-th that a task takes, epoch by epoch: an epoch takes each example once.
 * The order of an epoch depends on the seed and the number of the epoch alone, so that a run that
 * is resumed anywhere goes on as if it had never stopped; it is the same on every machine and in
 * every version.
 *
 * <p>Keeps the order of the epoch that was asked for last, 4 bytes an example; going through an
 * epoch costs O(1) an example. Not for several threads.
 */
public final class ExampleOrder {
  private final long seed;
  private final boolean shuffle;
  private final int examples;

  private int[] order = {};
  private long orderedEpoch = -1;

  /**
   * Creates an order.
   *
   * @param seed of the shuffling
   * @param shuffle whether each epoch has an order of its own, rather than the examples' own
   * @param examples how many there are, at least 1
   */
  public ExampleOrder(long seed, boolean shuffle, int examples) {
    if (examples < 1) {
      throw new IllegalArgumentException("examples: expected at least 1, found " + examples);
    }
    this.seed = seed;
    this.shuffle = shuffle;
    this.examples = examples;
  }

  /**
   * Returns the index of the example that is taken after {@code n} others.
   *
   * @param n at least 0
   */
  public int example(long n) {
    Objects.checkIndex(n, Long.MAX_VALUE);
    int place = (int) (n % examples);
    if (!shuffle) {
      return place;
    }
    if (epoch(n) != orderedEpoch) {
      orderedEpoch = epoch(n);
      order = permutation(seed, orderedEpoch, examples);
    }
    return order[place];
  }

  /** Returns in which epoch, from 0, an example is taken after {@code n} others. */
  public long epoch(long n) {
    return n / examples;
  }

  /**
   * Returns the numbers below {@code count} in the order of a stream: Fisher and Yates's shuffle
   * with the numbers of SplitMix64 (Steele et al., OOPSLA 2014).
   */
  static int[] permutation(long seed, long stream, int count) {
    int[] numbers = new int[count];
    long state = mix(mix(seed) ^ stream);
    for (int i = 0; i < count; i++) {
      state += 0x9E3779B97F4A7C15L;
      int other = (int) Math.unsignedMultiplyHigh(mix(state), i + 1L);
      numbers[i] = numbers[other];
      numbers[other] = i;
    }
    return numbers;
  }

  private static long mix(long z) {
    long a = (z ^ (z >>> 30)) * 0xBF58476D1CE4E5B9L;
    long b = (a ^ (a >>> 27)) * 0x94D049BB133111EBL;
    return b ^ (b >>> 31);
  }
}
