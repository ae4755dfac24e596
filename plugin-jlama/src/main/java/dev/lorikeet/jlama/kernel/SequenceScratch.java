package dev.lorikeet.jlama.kernel;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * Each worker's scratch memory for {@link SequenceAttention}: keys and values of one head of a
 * sequence, their gradients, and a tile of scores; some 4 MiB for 2,048 positions of 64 wide heads.
 * Allocated once by the host; {@link #close()} frees it.
 */
public final class SequenceScratch implements AutoCloseable {
  /** Queries of a tile. */
  static final int QUERIES = 32;

  /** Positions are computed in whole blocks of so many. */
  static final int KEYS = MatMul.MAX_BLOCK;

  private final Arena arena = Arena.ofShared();
  private final MemorySegment[] scratch;
  private final int headDim;
  private final int maxLength;

  // Where what begins, in bytes, and the distance of rows.
  final long rowBytes;
  final long scoreBytes;
  final long keys;
  final long values;
  final long dKeys;
  final long dValues;
  final long turnedKeys;
  final long turnedValues;
  final long weights;
  final long dScores;
  final long query;
  final long dOut;
  final long sums;

  /**
   * Allocates scratch memory.
   *
   * @param shape the shape it serves
   * @param maxLength the longest sequence
   * @param shards the number of workers that will use it
   */
  public SequenceScratch(SequenceAttention.Shape shape, int maxLength, int shards) {
    if (shards < 1 || maxLength < 1) {
      throw new IllegalArgumentException(
          "attention scratch: expected sizes of at least 1, found length "
              + maxLength
              + ", shards "
              + shards);
    }
    this.headDim = shape.headDim();
    this.maxLength = maxLength;
    long positions = ActivationPanel.roundUp(maxLength, KEYS);
    rowBytes = ActivationPanel.roundUp(headDim, MatMul.MAX_BLOCK) * Float.BYTES;
    scoreBytes = positions * Float.BYTES + 64;
    long natural = positions * rowBytes;
    long turned = positions * headDim * Float.BYTES;
    keys = 0;
    values = keys + natural;
    dKeys = values + natural;
    dValues = dKeys + natural;
    turnedKeys = dValues + natural;
    turnedValues = turnedKeys + turned;
    weights = turnedValues + turned;
    dScores = weights + QUERIES * scoreBytes;
    query = dScores + QUERIES * scoreBytes;
    dOut = query + QUERIES * rowBytes;
    sums = dOut + QUERIES * rowBytes;
    long bytes = sums + QUERIES * rowBytes;
    scratch = new MemorySegment[shards];
    for (int shard = 0; shard < shards; shard++) {
      scratch[shard] = arena.allocate(bytes, 64);
    }
  }

  /** Returns the bytes of all workers. */
  public long bytes() {
    return scratch.length * scratch[0].byteSize();
  }

  long of(SequenceAttention.Shape shape, int[] starts, Shard shard) {
    int longest = SequenceAttention.longest(starts);
    if (shape.headDim() != headDim || longest > maxLength) {
      throw new IllegalArgumentException(
          "attention scratch: expected heads of "
              + headDim
              + " and sequences of at most "
              + maxLength
              + ", found "
              + shape.headDim()
              + " and "
              + longest);
    }
    return scratch[shard.worker()].address();
  }

  /** Frees the memory. Must not overlap a kernel that uses it. */
  @Override
  public void close() {
    arena.close();
  }
}
