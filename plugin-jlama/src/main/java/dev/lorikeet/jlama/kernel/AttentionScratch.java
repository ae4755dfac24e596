package dev.lorikeet.jlama.kernel;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * Each worker's scratch memory for {@link PagedAttention}. Allocated once by the host, for all
 * shapes of the same sizes, such as those of layers that differ in their windows; {@link #close()}
 * frees it.
 */
public final class AttentionScratch implements AutoCloseable {
  private final Arena arena = Arena.ofShared();
  private final AttentionShape shape;
  private final AttentionTile tile;
  private final MemorySegment[] scratch;

  /**
   * Allocates scratch memory.
   *
   * @param shape a shape of the sizes it serves
   * @param shards the number of workers that will use it
   */
  public AttentionScratch(AttentionShape shape, int shards) {
    if (shards < 1) {
      throw new IllegalArgumentException(
          "attention scratch: expected shards >= 1, found " + shards);
    }
    this.shape = shape;
    this.scratch = new MemorySegment[shards];
    this.tile = AttentionTile.of(shape);
    for (int shard = 0; shard < shards; shard++) {
      scratch[shard] = arena.allocate(tile.bytes(), 64);
    }
  }

  MemorySegment of(AttentionShape expected, Shard shard) {
    if (!shape.sizedAs(expected)) {
      throw new IllegalArgumentException(
          "attention scratch: expected the sizes of " + expected + ", found " + shape);
    }
    return scratch[shard.worker()];
  }

  AttentionTile tile() {
    return tile;
  }

  /** Frees the memory. Must not overlap a kernel that uses it. */
  @Override
  public void close() {
    arena.close();
  }
}
