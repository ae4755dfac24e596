package dev.lorikeet.files.adapter;

import dev.lorikeet.adapter.LoraFactor;
import dev.lorikeet.adapter.LoraWeights;
import dev.lorikeet.adapter.TargetSpec;
import dev.lorikeet.tensor.Device;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Optional;

/** Describes weights in memory, so that they are found by target module without allocation. */
public final class WeightTable {
  private WeightTable() {}

  /**
   * Returns the weights by {@link dev.lorikeet.shape.TargetModule#index}.
   *
   * @param offsets the byte offset of each row in {@code memory}, by factor: {@code 2 * target} for
   *     A, one more for B
   */
  public static List<Optional<LoraWeights>> of(
      List<TargetSpec> targets, long[][] offsets, MemorySegment memory) {
    int last = targets.getLast().target().index();
    List<Optional<LoraWeights>> table =
        new ArrayList<>(Collections.nCopies(last + 1, Optional.empty()));
    for (int t = 0; t < targets.size(); t++) {
      TargetSpec spec = targets.get(t);
      var a = factor(spec, spec.inFeatures(), spec.aBlocks(), memory, offsets[2 * t]);
      var b = factor(spec, spec.outFeatures(), spec.bBlocks(), memory, offsets[2 * t + 1]);
      table.set(
          spec.target().index(), Optional.of(LoraWeights.of(spec.target(), a, b, spec.scaling())));
    }
    return List.copyOf(table);
  }

  private static LoraFactor factor(
      TargetSpec spec, int width, int blocks, MemorySegment memory, long[] rows) {
    return new LoraFactor(spec.type(), width, blocks, Device.HOST, memory, rows);
  }
}
