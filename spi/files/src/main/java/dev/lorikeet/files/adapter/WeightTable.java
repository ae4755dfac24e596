package dev.lorikeet.files.adapter;

import dev.lorikeet.adapter.LoraFactor;
import dev.lorikeet.adapter.LoraWeights;
import dev.lorikeet.adapter.PartSpec;
import dev.lorikeet.adapter.PartWeights;
import dev.lorikeet.adapter.TargetSpec;
import dev.lorikeet.shape.Projection;
import dev.lorikeet.shape.TargetModule;
import dev.lorikeet.tensor.Device;
import dev.lorikeet.tensor.ElementType;
import dev.lorikeet.tensor.Tensor;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * The weights of one adapter in memory, found by target module at once and without allocation: a
 * decoder asks for each module of each adapter in every step. A dense table of the linear layers of
 * decoder blocks, and a map of what few adapters change. Immutable.
 */
public final class WeightTable {
  private static final int PROJECTIONS = Projection.ofLayer().size();

  private final List<Optional<LoraWeights>> weights;
  private final Map<TargetModule, Optional<LoraWeights>> others;
  private final Map<Key, PartWeights> parts;

  /** What a part is found by. */
  private record Key(TargetModule target, PartSpec.Kind kind) {}

  private WeightTable(
      List<Optional<LoraWeights>> weights,
      Map<TargetModule, Optional<LoraWeights>> others,
      Map<Key, PartWeights> parts) {
    this.weights = weights;
    this.others = others;
    this.parts = parts;
  }

  /**
   * Returns the table of an adapter.
   *
   * @param targets its target modules, in order
   * @param parts what it has beside
   * @param places where the rows of both are in {@code memory}
   */
  public static WeightTable of(
      List<TargetSpec> targets, List<PartSpec> parts, WeightPlaces places, MemorySegment memory) {
    int last = targets.stream().mapToInt(spec -> place(spec.target())).max().orElse(-1);
    List<Optional<LoraWeights>> weights =
        new ArrayList<>(Collections.nCopies(last + 1, Optional.empty()));
    Map<TargetModule, Optional<LoraWeights>> others = new HashMap<>();
    for (int t = 0; t < targets.size(); t++) {
      TargetSpec spec = targets.get(t);
      Optional<LoraWeights> found = Optional.of(weights(spec, t, places, memory));
      if (spec.target().isPlain()) {
        weights.set(place(spec.target()), found);
      } else {
        others.put(spec.target(), found);
      }
    }
    Map<Key, PartWeights> beside = new HashMap<>();
    for (int p = 0; p < parts.size(); p++) {
      PartSpec spec = parts.get(p);
      var part = new PartWeights(spec, Device.HOST, memory, places.parts()[p]);
      beside.put(new Key(spec.target(), spec.kind()), part);
    }
    return new WeightTable(List.copyOf(weights), Map.copyOf(others), Map.copyOf(beside));
  }

  private static LoraWeights weights(
      TargetSpec spec, int target, WeightPlaces places, MemorySegment memory) {
    long[][] rows = places.factors();
    LoraWeights factors =
        LoraWeights.of(
            spec.target(),
            factor(spec, spec.inFeatures(), spec.aBlocks(), memory, rows[2 * target]),
            factor(spec, spec.outFeatures(), spec.bBlocks(), memory, rows[2 * target + 1]),
            spec.scaling());
    if (!spec.magnitude()) {
      return factors;
    }
    long bytes = (long) spec.outFeatures() * Float.BYTES;
    MemorySegment magnitude = memory.asSlice(places.magnitudes()[target], bytes);
    return factors.withMagnitude(Tensor.host(magnitude, ElementType.F32, 1, spec.outFeatures()));
  }

  private static LoraFactor factor(
      TargetSpec spec, int width, int blocks, MemorySegment memory, long[] rows) {
    return new LoraFactor(spec.type(), width, blocks, Device.HOST, memory, rows);
  }

  /** Returns the place of a module in the table, -1 if it is no linear layer of a block. */
  @SuppressWarnings("EnumOrdinal") // The projections of a layer are the first constants.
  private static int place(TargetModule target) {
    return target.isPlain() ? target.layer() * PROJECTIONS + target.projection().ordinal() : -1;
  }

  /** Returns the weights of a module, or empty if the adapter does not change it. */
  public Optional<LoraWeights> find(TargetModule target) {
    int place = place(target);
    if (place >= 0) {
      return place < weights.size() ? weights.get(place) : Optional.empty();
    }
    return others.getOrDefault(target, Optional.empty());
  }

  /** Returns a part of a module, or empty if the adapter has none of that kind there. */
  public Optional<PartWeights> part(TargetModule target, PartSpec.Kind kind) {
    return Optional.ofNullable(parts.get(new Key(target, kind)));
  }
}
