package dev.lorikeet.training.trainer;

import dev.lorikeet.adapter.LoraFactor;
import dev.lorikeet.adapter.LoraWeights;
import dev.lorikeet.adapter.TargetSpec;
import dev.lorikeet.executor.FactorGradients;
import dev.lorikeet.tensor.ElementType;
import dev.lorikeet.tensor.Tensor;
import dev.lorikeet.training.optimizer.FactorMemory;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * One target module of an adapter that learns: both factors as PEFT stores them, and B once more in
 * the order in which executors read it, which {@link #publish} brings up to date.
 */
final class LearningModule {
  private static final int TILE = 64;

  private final TargetSpec spec;
  private final FactorMemory a;
  private final FactorMemory b;
  private final LoraWeights weights;
  private final FactorGradients.Sums sums;

  LearningModule(TargetSpec spec, int slots, Arena arena) {
    this.spec = spec;
    int aColumns = spec.inFeatures() / spec.aBlocks();
    int bColumns = spec.rank() / spec.bBlocks();
    this.a = FactorMemory.allocate(arena, spec.rank(), aColumns, slots);
    this.b = FactorMemory.allocate(arena, spec.outFeatures(), bColumns, slots);
    MemorySegment transposed = arena.allocate(b.count() * Float.BYTES, 64);
    this.weights =
        LoraWeights.of(
            spec.target(),
            LoraFactor.contiguous(
                ElementType.F32, spec.rank(), spec.inFeatures(), spec.aBlocks(), a.values()),
            LoraFactor.contiguous(
                ElementType.F32, spec.rank(), spec.outFeatures(), spec.bBlocks(), transposed),
            spec.scaling());
    this.sums =
        new FactorGradients.Sums(
            Tensor.host(a.gradients(), ElementType.F32, a.rows(), a.columns()),
            Tensor.host(b.gradients(), ElementType.F32, b.rows(), b.columns()));
  }

  TargetSpec spec() {
    return spec;
  }

  FactorMemory a() {
    return a;
  }

  FactorMemory b() {
    return b;
  }

  LoraWeights weights() {
    return weights;
  }

  FactorGradients.Sums sums() {
    return sums;
  }

  /** Lets executors see what B is now. Outputs are taken in tiles, so that both sides stay near. */
  void publish() {
    LoraFactor to = weights.b();
    int block = spec.outFeatures() / spec.bBlocks();
    int columns = b.columns();
    for (int first = 0; first < block; first += TILE) {
      int end = Math.min(block, first + TILE);
      for (int row = 0; row < spec.rank(); row++) {
        int start = to.rowStart(row) + first;
        long at = to.rowOffset(row) / Float.BYTES + first;
        for (int output = start; output < start + end - first; output++, at++) {
          long from = (long) output * columns + row % columns;
          float value = b.values().getAtIndex(ValueLayout.JAVA_FLOAT, from);
          to.memory().setAtIndex(ValueLayout.JAVA_FLOAT, at, value);
        }
      }
    }
  }

  void clearGradients() {
    a.gradients().fill((byte) 0);
    b.gradients().fill((byte) 0);
  }
}
