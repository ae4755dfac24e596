package dev.lorikeet.jlama.decoder;

import dev.lorikeet.executor.LoraBatch;
import dev.lorikeet.executor.LoraExecutor;
import dev.lorikeet.executor.MergePlan;
import dev.lorikeet.host.switching.SharedMixture;
import dev.lorikeet.jlama.kernel.HugePages;
import dev.lorikeet.jlama.kernel.WeightMatrix;
import dev.lorikeet.jlama.weights.LayerWeights;
import dev.lorikeet.jlama.weights.LayerWeights.Linear;
import dev.lorikeet.shape.Projection;
import dev.lorikeet.shape.TargetModule;
import dev.lorikeet.tensor.Device;
import dev.lorikeet.tensor.Tensor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;

/**
 * The second copy of the weights, which holds the merged state. Made at the first switch, from the
 * pristine weights at every switch; modules that no adapter of the mixture changes are used from
 * the pristine weights and not copied. Used by the decoding thread alone.
 */
final class MergedWeights implements AutoCloseable {
  private final List<LayerWeights> pristine;
  private final LoraExecutor executor;
  private final Arena arena = Arena.ofShared();
  private final List<Map<Projection, WeightMatrix.Floats>> copies = new ArrayList<>();
  private final Map<Projection, WeightMatrix.Floats> scratch = new EnumMap<>(Projection.class);
  private final LayerWeights[] merged;

  MergedWeights(List<LayerWeights> pristine, LoraExecutor executor) {
    this.pristine = pristine;
    this.executor = executor;
    this.merged = pristine.toArray(LayerWeights[]::new);
  }

  /** Returns whether an executor merges into every linear layer of these weights. */
  static boolean possible(List<LayerWeights> pristine, LoraExecutor executor) {
    for (LayerWeights layer : pristine) {
      for (Projection projection : layer.projections()) {
        if (!(layer.linear(projection).weight() instanceof WeightMatrix.Floats floats)
            || !executor.merges(floats.type(), Device.HOST)) {
          return false;
        }
      }
    }
    return true;
  }

  /** Returns a layer of the merged state. */
  LayerWeights layer(int layer) {
    return merged[layer];
  }

  /** Merges the mixture that all tokens of a batch share, for all modules in one call. */
  void switchTo(LoraBatch batch) {
    if (copies.isEmpty()) {
      allocate();
    }
    List<MergePlan.Target> targets = new ArrayList<>();
    for (int l = 0; l < merged.length; l++) {
      merged[l] = collect(batch, l, copies.get(l), targets);
    }
    executor.switchMerged(new MergePlan(targets, SharedMixture.shares(batch)));
  }

  /**
   * Fills the second copy with the pristine weights, twice, since the first time finds its memory
   * untouched and its code not compiled.
   *
   * @return nanoseconds of the second time
   */
  long copy() {
    allocate();
    List<MergePlan.Target> targets = new ArrayList<>();
    for (int l = 0; l < merged.length; l++) {
      int layer = l;
      copies
          .get(l)
          .forEach(
              (projection, to) ->
                  targets.add(
                      new MergePlan.Target(
                          TargetModule.of(layer, projection),
                          tensor(floats(pristine.get(layer), projection)),
                          tensor(to))));
    }
    MergePlan plan = new MergePlan(targets, List.of());
    executor.switchMerged(plan);
    long start = System.nanoTime();
    executor.switchMerged(plan);
    return System.nanoTime() - start;
  }

  /**
   * Merges one layer of a mixture into scratch, twice, since the first time may find its memory
   * untouched and its code not compiled.
   *
   * @return nanoseconds of the faster time
   */
  long probe(LoraBatch batch) {
    if (scratch.isEmpty()) {
      copyOf(pristine.getFirst(), scratch);
    }
    List<MergePlan.Target> targets = new ArrayList<>();
    collect(batch, 0, scratch, targets);
    MergePlan plan = new MergePlan(targets, SharedMixture.shares(batch));
    long start = System.nanoTime();
    executor.switchMerged(plan);
    long middle = System.nanoTime();
    executor.switchMerged(plan);
    return Math.min(middle - start, System.nanoTime() - middle);
  }

  private void allocate() {
    for (LayerWeights layer : pristine) {
      Map<Projection, WeightMatrix.Floats> copy = new EnumMap<>(Projection.class);
      copyOf(layer, copy);
      copies.add(copy);
    }
  }

  private void copyOf(LayerWeights layer, Map<Projection, WeightMatrix.Floats> copy) {
    long bytes = 0;
    for (Projection projection : layer.projections()) {
      bytes += wholeLines(floats(layer, projection).bytes());
    }
    MemorySegment memory = HugePages.allocate(arena, bytes);
    long at = 0;
    for (Projection projection : layer.projections()) {
      WeightMatrix.Floats source = floats(layer, projection);
      MemorySegment slice = memory.asSlice(at, source.bytes());
      copy.put(
          projection,
          new WeightMatrix.Floats(slice, source.type(), source.rows(), source.columns()));
      at += wholeLines(source.bytes());
    }
  }

  private LayerWeights collect(
      LoraBatch batch,
      int layer,
      Map<Projection, WeightMatrix.Floats> copy,
      List<MergePlan.Target> targets) {
    LayerWeights source = pristine.get(layer);
    return source.with(
        projection -> {
          TargetModule module = TargetModule.of(layer, projection);
          Linear linear = source.linear(projection);
          WeightMatrix.Floats to = copy.get(projection);
          if (to == null || !changes(batch, module)) {
            return linear;
          }
          targets.add(new MergePlan.Target(module, tensor(floats(source, projection)), tensor(to)));
          return new Linear(to, linear.bias());
        });
  }

  private static boolean changes(LoraBatch batch, TargetModule module) {
    for (int s = 0; s < batch.segments(); s++) {
      if (batch.adapter(s).weights(module).isPresent()) {
        return true;
      }
    }
    return false;
  }

  private static WeightMatrix.Floats floats(LayerWeights layer, Projection projection) {
    if (layer.linear(projection).weight() instanceof WeightMatrix.Floats floats) {
      return floats;
    }
    throw new IllegalStateException("quantized weights are never merged into");
  }

  private static Tensor tensor(WeightMatrix.Floats weights) {
    return Tensor.host(weights.segment(), weights.type(), weights.rows(), weights.columns());
  }

  private static long wholeLines(long bytes) {
    return (bytes + 63) / 64 * 64;
  }

  @Override
  public void close() {
    arena.close();
  }
}
