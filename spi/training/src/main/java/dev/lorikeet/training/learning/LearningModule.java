package dev.lorikeet.training.learning;

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
import java.util.List;
import java.util.Optional;

/**
 * One target module of an adapter that learns: both factors as PEFT stores them, a magnitude if it
 * has one, and B once more in the order in which executors read it, which {@link #publish} brings
 * up to date.
 */
public final class LearningModule {
  private static final int TILE = 64;

  private final TargetSpec spec;
  private final FactorMemory a;
  private final FactorMemory b;
  private final Optional<FactorMemory> magnitude;
  private final LoraWeights weights;
  private final FactorGradients.Sums sums;

  LearningModule(TargetSpec spec, int slots, Arena arena) {
    this.spec = spec;
    int aColumns = spec.inFeatures() / spec.aBlocks();
    int bColumns = spec.rank() / spec.bBlocks();
    this.a = FactorMemory.allocate(arena, spec.rank(), aColumns, slots);
    this.b = FactorMemory.allocate(arena, spec.outFeatures(), bColumns, slots);
    MemorySegment transposed = arena.allocate(b.count() * Float.BYTES, 64);
    this.magnitude =
        spec.magnitude()
            ? Optional.of(FactorMemory.allocate(arena, 1, spec.outFeatures(), slots))
            : Optional.empty();
    LoraWeights factors =
        LoraWeights.of(
            spec.target(),
            LoraFactor.contiguous(
                ElementType.F32, spec.rank(), spec.inFeatures(), spec.aBlocks(), a.values()),
            LoraFactor.contiguous(
                ElementType.F32, spec.rank(), spec.outFeatures(), spec.bBlocks(), transposed),
            spec.scaling());
    this.weights = magnitude.map(m -> factors.withMagnitude(tensor(m.values(), m))).orElse(factors);
    this.sums = new FactorGradients.Sums(tensor(a.gradients(), a), tensor(b.gradients(), b));
  }

  private static Tensor tensor(MemorySegment memory, FactorMemory of) {
    return Tensor.host(memory, ElementType.F32, of.rows(), of.columns());
  }

  /** Returns where it is, and its sizes. */
  public TargetSpec spec() {
    return spec;
  }

  /** Returns A. */
  public FactorMemory a() {
    return a;
  }

  /** Returns B. */
  public FactorMemory b() {
    return b;
  }

  /** Returns the magnitude, if it has one. */
  public Optional<FactorMemory> magnitude() {
    return magnitude;
  }

  /** Returns all that learns: A, B, and the magnitude if there is one. */
  public List<FactorMemory> factors() {
    return magnitude.isPresent() ? List.of(a, b, magnitude.get()) : List.of(a, b);
  }

  /** Returns where the gradient of the magnitude goes. */
  Optional<Tensor> magnitudeSums() {
    return magnitude.map(m -> tensor(m.gradients(), m));
  }

  /** Returns both as executors read them. */
  public LoraWeights weights() {
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
    factors().forEach(factor -> factor.gradients().fill((byte) 0));
  }
}
