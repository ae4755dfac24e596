package dev.lorikeet.jlama.lora;

import dev.lorikeet.adapter.LoraFactor;
import dev.lorikeet.adapter.LoraWeights;
import dev.lorikeet.executor.FactorGradients;
import dev.lorikeet.executor.GradientSums;
import dev.lorikeet.tensor.Tensor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.IntStream;

/**
 * Native copies of what a call has on the heap, where kernels can't reach; what is native already
 * stays where it is. So the heap gives the same bits, for the price of copying.
 */
final class NativeCopies implements AutoCloseable {
  private final Map<Tensor, Tensor> written = new HashMap<>();
  private Optional<Arena> arena = Optional.empty();

  /** Returns a tensor to read from. */
  Tensor read(Tensor tensor) {
    return tensor.segment().isNative() ? tensor : copy(tensor);
  }

  /** Returns tensors to read from. */
  List<Tensor> read(List<Tensor> tensors) {
    return tensors.stream().allMatch(tensor -> tensor.segment().isNative())
        ? tensors
        : tensors.stream().map(this::read).toList();
  }

  /** Returns sums to add to. */
  GradientSums written(GradientSums sums) {
    return sums.dx().stream().allMatch(dx -> dx.segment().isNative())
            && sums.weights().stream().allMatch(dw -> dw.segment().isNative())
        ? sums
        : new GradientSums(
            sums.dx().map(this::written), sums.factors(), sums.weights().map(this::written));
  }

  private Tensor written(Tensor tensor) {
    return tensor.segment().isNative() ? tensor : written.computeIfAbsent(tensor, this::copy);
  }

  /** Returns units whose factors and gradients are native. */
  List<GradientCall.Unit> units(List<GradientCall.Unit> units) {
    return units.stream().allMatch(NativeCopies::isNative)
        ? units
        : units.stream().map(this::unit).toList();
  }

  private static boolean isNative(GradientCall.Unit unit) {
    LoraWeights weights = unit.weights();
    return weights.a().memory().isNative()
        && weights.b().memory().isNative()
        && unit.sums().stream()
            .allMatch(sums -> sums.a().segment().isNative() && sums.b().segment().isNative());
  }

  private GradientCall.Unit unit(GradientCall.Unit unit) {
    LoraWeights w = unit.weights();
    return new GradientCall.Unit(
        unit.segment(),
        unit.target(),
        LoraWeights.of(w.target(), read(w.a()), read(w.b()), w.scaling()),
        unit.sums().map(to -> new FactorGradients.Sums(written(to.a()), written(to.b()))));
  }

  private LoraFactor read(LoraFactor factor) {
    if (factor.memory().isNative()) {
      return factor;
    }
    long[] offsets = IntStream.range(0, factor.rank()).mapToLong(factor::rowOffset).toArray();
    MemorySegment copy = copy(factor.memory());
    return new LoraFactor(
        factor.type(), factor.width(), factor.blocks(), factor.device(), copy, offsets);
  }

  private Tensor copy(Tensor tensor) {
    return new Tensor(
        copy(tensor.segment()),
        tensor.type(),
        tensor.rows(),
        tensor.columns(),
        tensor.rowStride(),
        tensor.device());
  }

  private MemorySegment copy(MemorySegment heap) {
    if (arena.isEmpty()) {
      arena = Optional.of(Arena.ofShared());
    }
    return arena.get().allocate(heap.byteSize(), 64).copyFrom(heap);
  }

  /** Copies what was added to back to the heap: the rows alone. */
  void writeBack() {
    written.forEach(
        (heap, copy) -> {
          long bytes = heap.columns() * heap.type().bytes();
          for (long row = 0; row < heap.rows(); row++) {
            MemorySegment.copy(
                copy.segment(),
                row * copy.rowStrideBytes(),
                heap.segment(),
                row * heap.rowStrideBytes(),
                bytes);
          }
        });
  }

  @Override
  public void close() {
    arena.ifPresent(Arena::close);
  }
}
