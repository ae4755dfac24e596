package dev.lorikeet.training.optimizer;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * One factor of one target module while it learns: float32 in native order, row after row, in the
 * shape in which PEFT stores it. Used by one thread at a time.
 *
 * @param values the weights
 * @param gradients the sums of their gradients
 * @param state what the optimizer remembers, for each slot as many elements as there are weights
 * @param rows {@code rank} of A, {@code out} of B
 * @param columns {@code in / blocks} of A, {@code rank / blocks} of B
 */
public record FactorMemory(
    MemorySegment values, MemorySegment gradients, MemorySegment state, int rows, int columns) {
  private static final int ALIGNMENT = 64;

  /** Allocates zeros, with so many slots of state. */
  public static FactorMemory allocate(Arena arena, int rows, int columns, int slots) {
    long bytes = (long) rows * columns * Float.BYTES;
    return new FactorMemory(
        arena.allocate(bytes, ALIGNMENT),
        arena.allocate(bytes, ALIGNMENT),
        arena.allocate(slots * bytes, ALIGNMENT),
        rows,
        columns);
  }

  /** Returns the number of weights. */
  public long count() {
    return (long) rows * columns;
  }

  /** Returns one slot of the state. */
  public MemorySegment slot(int slot) {
    return state.asSlice(slot * values.byteSize(), values.byteSize());
  }
}
