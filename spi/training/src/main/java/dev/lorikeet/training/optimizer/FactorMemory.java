package dev.lorikeet.training.optimizer;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

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
  private static final int SUMS = 8;

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

  /**
   * Returns the sum of the squares of all gradients: eight sums of every eighth one, and then
   * theirs.
   */
  public double squares() {
    double s0 = 0;
    double s1 = 0;
    double s2 = 0;
    double s3 = 0;
    double s4 = 0;
    double s5 = 0;
    double s6 = 0;
    double s7 = 0;
    long whole = count() / SUMS * SUMS;
    for (long i = 0; i < whole; i += SUMS) {
      s0 += square(i);
      s1 += square(i + 1);
      s2 += square(i + 2);
      s3 += square(i + 3);
      s4 += square(i + 4);
      s5 += square(i + 5);
      s6 += square(i + 6);
      s7 += square(i + 7);
    }
    double rest = 0;
    for (long i = whole; i < count(); i++) {
      rest += square(i);
    }
    return ((s0 + s1) + (s2 + s3)) + ((s4 + s5) + (s6 + s7)) + rest;
  }

  private double square(long index) {
    double gradient = gradients.getAtIndex(ValueLayout.JAVA_FLOAT, index);
    return gradient * gradient;
  }

  /** Returns one slot of the state. */
  public MemorySegment slot(int slot) {
    return state.asSlice(slot * values.byteSize(), values.byteSize());
  }
}
