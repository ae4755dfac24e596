package dev.lorikeet.jlama.kernel;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * Each worker's scratch memory for {@link BackMatMul}: widened weights of a tile and sums of a
 * chunk of tokens, some 130 KiB. Allocated once by the host; {@link #close()} frees it.
 */
public final class BackScratch implements AutoCloseable {
  /** Columns of a tile. */
  static final int COLUMNS = 128;

  /** Rows of weights of a tile. */
  static final int DEPTH = 128;

  /** Tokens whose sums are kept at once. */
  static final int TOKENS = 128;

  /** Bytes between rows, of weights and of sums: whole lines, an odd number of them. */
  static final long STEP = COLUMNS * Float.BYTES + 64;

  /** Where the sums begin. */
  static final long SUMS = DEPTH * STEP;

  private final Arena arena = Arena.ofShared();
  private final MemorySegment[] scratch;

  /**
   * Allocates scratch memory.
   *
   * @param shards the number of workers that will use it
   */
  public BackScratch(int shards) {
    if (shards < 1) {
      throw new IllegalArgumentException("backward scratch: expected shards >= 1, found " + shards);
    }
    scratch = new MemorySegment[shards];
    for (int shard = 0; shard < shards; shard++) {
      scratch[shard] = arena.allocate(SUMS + TOKENS * STEP, 64);
    }
  }

  /** Returns the bytes of all workers. */
  public long bytes() {
    return scratch.length * scratch[0].byteSize();
  }

  MemorySegment of(Shard shard) {
    return scratch[shard.worker()];
  }

  /** Frees the memory. Must not overlap a kernel that uses it. */
  @Override
  public void close() {
    arena.close();
  }
}
