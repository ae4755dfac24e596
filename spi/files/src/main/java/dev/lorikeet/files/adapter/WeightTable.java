package dev.lorikeet.files.adapter;

import dev.lorikeet.adapter.LoraFactor;
import dev.lorikeet.adapter.LoraWeights;
import dev.lorikeet.adapter.TargetSpec;
import dev.lorikeet.shape.Projection;
import dev.lorikeet.shape.TargetModule;
import dev.lorikeet.tensor.Device;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Optional;

/**
 * The weights of one adapter in memory, found by target module at once and without allocation: a
 * decoder asks for each module of each adapter in every step. A dense table of the linear layers of
 * decoder blocks, which are all that the readers of this module accept. Immutable.
 */
public final class WeightTable {
  private static final int PROJECTIONS = Projection.ofLayer().size();

  private final List<Optional<LoraWeights>> weights;

  private WeightTable(List<Optional<LoraWeights>> weights) {
    this.weights = weights;
  }

  /**
   * Returns the table of an adapter.
   *
   * @param targets its target modules, in order
   * @param offsets the byte offset of each row in {@code memory}, by factor: {@code 2 * target} for
   *     A, one more for B
   */
  public static WeightTable of(List<TargetSpec> targets, long[][] offsets, MemorySegment memory) {
    int last = place(targets.getLast().target());
    List<Optional<LoraWeights>> weights =
        new ArrayList<>(Collections.nCopies(last + 1, Optional.empty()));
    for (int t = 0; t < targets.size(); t++) {
      TargetSpec spec = targets.get(t);
      var a = factor(spec, spec.inFeatures(), spec.aBlocks(), memory, offsets[2 * t]);
      var b = factor(spec, spec.outFeatures(), spec.bBlocks(), memory, offsets[2 * t + 1]);
      weights.set(
          place(spec.target()), Optional.of(LoraWeights.of(spec.target(), a, b, spec.scaling())));
    }
    return new WeightTable(List.copyOf(weights));
  }

  private static LoraFactor factor(
      TargetSpec spec, int width, int blocks, MemorySegment memory, long[] rows) {
    return new LoraFactor(spec.type(), width, blocks, Device.HOST, memory, rows);
  }

  /** Returns the place of a module in the table, -1 if it is no linear layer of a block. */
  @SuppressWarnings("EnumOrdinal") // The projections of a layer are the first constants.
  private static int place(TargetModule target) {
    return target.projection().isOfLayer() && !target.isExpert()
        ? target.layer() * PROJECTIONS + target.projection().ordinal()
        : -1;
  }

  /** Returns the weights of a module, or empty if the adapter does not change it. */
  public Optional<LoraWeights> find(TargetModule target) {
    int place = place(target);
    return place >= 0 && place < weights.size() ? weights.get(place) : Optional.empty();
  }
}
