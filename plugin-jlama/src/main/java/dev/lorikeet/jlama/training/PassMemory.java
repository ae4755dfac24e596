package dev.lorikeet.jlama.training;

import dev.lorikeet.jlama.kernel.HugePages;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;

/**
 * Memory of passes: what a pass gives back serves the next of about the same size, so that a steady
 * run allocates nothing. Used by the thread that uses the stage.
 */
final class PassMemory implements AutoCloseable {
  /** A free piece serves a pass that needs at least half of it; what is too small then goes. */
  private static final int MOST_WASTE = 2;

  private static final int MOST_FREE = 4;

  private final Runnable quiesce;
  private final List<Piece> used = new ArrayList<>();
  private final List<Piece> free = new ArrayList<>();

  /** A piece of memory, with a life of its own. */
  record Piece(Arena arena, MemorySegment segment) {}

  /**
   * Creates an empty memory.
   *
   * @param quiesce makes sure that no worker reads memory that it was given before
   */
  PassMemory(Runnable quiesce) {
    this.quiesce = quiesce;
  }

  /** Returns at least so many bytes, of any content. */
  Piece take(long bytes) {
    Piece piece =
        free.stream()
            .filter(p -> p.segment.byteSize() >= bytes)
            .filter(p -> p.segment.byteSize() / MOST_WASTE <= bytes)
            .min(Comparator.comparingLong(p -> p.segment.byteSize()))
            .orElseGet(() -> allocate(bytes));
    free.remove(piece);
    used.add(piece);
    return piece;
  }

  private static Piece allocate(long bytes) {
    Arena arena = Arena.ofShared();
    try {
      return new Piece(arena, HugePages.allocate(arena, bytes));
    } catch (RuntimeException | Error e) {
      arena.close();
      throw e;
    }
  }

  /** Takes a piece back. */
  void give(Piece piece) {
    if (!used.remove(piece)) {
      throw new IllegalStateException("pass memory: given back twice");
    }
    free.add(piece);
    if (free.size() > MOST_FREE) {
      quiesce.run();
      free.removeFirst().arena.close();
    }
  }

  /** Returns the bytes that are held, used and free. */
  long bytes() {
    long bytes = 0;
    for (Piece piece : used) {
      bytes += piece.segment.byteSize();
    }
    for (Piece piece : free) {
      bytes += piece.segment.byteSize();
    }
    return bytes;
  }

  /** Frees everything; no worker may use it any more. */
  @Override
  public void close() {
    used.forEach(piece -> piece.arena.close());
    free.forEach(piece -> piece.arena.close());
    used.clear();
    free.clear();
  }
}
