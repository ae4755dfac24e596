package dev.lorikeet.jlama.kernel;

/**
 * One worker's part of a kernel. Every worker of a {@link WorkerTeam} has one, made with the team:
 * kernels are called with it and allocate none.
 *
 * @param index the number of this shard, from 0
 * @param count how many shards there are, at least 1
 */
public record Shard(int index, int count) {
  /** The only shard: all of the work. */
  public static final Shard WHOLE = new Shard(0, 1);

  public Shard {
    if (index < 0 || index >= count) {
      throw new IllegalArgumentException(
          "shard: expected 0 to " + (count - 1) + " of " + count + ", found " + index);
    }
  }

  /**
   * Returns the first of {@code items} items that are this shard's: shards take them in order, and
   * their shares differ by at most one.
   */
  public int first(int items) {
    return (int) ((long) items * index / count);
  }

  /** Returns the end of this shard's items: the first of the next shard's. */
  public int end(int items) {
    return (int) ((long) items * (index + 1) / count);
  }
}
