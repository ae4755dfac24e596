package dev.lorikeet.training.trainer;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalDouble;

/**
 * The best loss of the examples that a task is judged by, how often it was missed since, and, where
 * the task wants them back, the weights that had it.
 */
final class BestWeights implements AutoCloseable {
  private final Arena arena = Arena.ofShared();
  private final TaskWeights learned;
  private final List<MemorySegment> copies = new ArrayList<>();
  private OptionalDouble loss = OptionalDouble.empty();
  private int misses;

  /** Begins without a loss; has room for a copy of the weights if they are to be kept. */
  BestWeights(TaskWeights learned, boolean keep) {
    this.learned = learned;
    if (keep) {
      for (MemorySegment values : weights()) {
        copies.add(arena.allocate(values.byteSize(), 64));
      }
    }
  }

  /** Takes the loss of the weights as they are now. */
  void take(double found) {
    if (loss.isPresent() && found >= loss.getAsDouble()) {
      misses++;
      return;
    }
    loss = OptionalDouble.of(found);
    misses = 0;
    if (!copies.isEmpty()) {
      List<MemorySegment> weights = weights();
      for (int i = 0; i < copies.size(); i++) {
        copies.get(i).copyFrom(weights.get(i));
      }
    }
  }

  /** Gives the adapter the best weights back, if any were kept. */
  void restore() {
    if (loss.isPresent() && !copies.isEmpty()) {
      List<MemorySegment> weights = weights();
      for (int i = 0; i < copies.size(); i++) {
        weights.get(i).copyFrom(copies.get(i));
      }
      learned.publish();
    }
  }

  private List<MemorySegment> weights() {
    List<MemorySegment> all = new ArrayList<>();
    learned.each((name, factor) -> all.add(factor.values()));
    return all;
  }

  /** Returns the best loss so far. */
  OptionalDouble loss() {
    return loss;
  }

  /** Returns how many losses came since, none of them better. */
  int misses() {
    return misses;
  }

  /** Returns the kept weights of all modules in their order; empty if none are kept. */
  List<MemorySegment> copies() {
    return copies;
  }

  /** Goes on from a checkpoint, whose weights were read into {@link #copies}. */
  void resume(double best, int missed) {
    loss = OptionalDouble.of(best);
    misses = missed;
  }

  @Override
  public void close() {
    arena.close();
  }
}
