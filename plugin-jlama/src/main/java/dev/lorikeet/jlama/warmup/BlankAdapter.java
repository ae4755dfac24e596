package dev.lorikeet.jlama.warmup;

import dev.lorikeet.adapter.AdapterLease;
import dev.lorikeet.adapter.AdapterSpec;
import dev.lorikeet.adapter.LoraFactor;
import dev.lorikeet.adapter.LoraWeights;
import dev.lorikeet.adapter.TargetSpec;
import dev.lorikeet.shape.ModelShape;
import dev.lorikeet.shape.Projection;
import dev.lorikeet.shape.TargetModule;
import dev.lorikeet.tensor.ElementType;
import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/** An adapter of zeros on every projection of the first layer. */
final class BlankAdapter implements AdapterLease {
  private static final int RANK = 16;

  private final Map<TargetModule, Optional<LoraWeights>> weights = new HashMap<>();
  private final AdapterSpec spec;

  BlankAdapter(ModelShape shape, ElementType type, Arena arena) {
    List<TargetSpec> targets = new ArrayList<>();
    for (Projection projection : shape.modules().projections()) {
      TargetModule target = TargetModule.of(0, projection);
      int in = shape.inFeatures(projection);
      int out = shape.outFeatures(projection);
      LoraWeights both =
          LoraWeights.of(target, factor(in, type, arena), factor(out, type, arena), 1);
      weights.put(target, Optional.of(both));
      targets.add(
          TargetSpec.builder(target)
              .rank(RANK)
              .inFeatures(in)
              .outFeatures(out)
              .scaling(1)
              .type(type)
              .build());
    }
    spec = AdapterSpec.of("warm-up", 1, targets);
  }

  private static LoraFactor factor(int width, ElementType type, Arena arena) {
    long bytes = (long) RANK * width * type.bytes();
    return LoraFactor.contiguous(type, RANK, width, 1, arena.allocate(bytes, 64));
  }

  @Override
  public AdapterSpec spec() {
    return spec;
  }

  @Override
  public Optional<LoraWeights> weights(TargetModule target) {
    return weights.getOrDefault(target, Optional.empty());
  }

  @Override
  public void close() {
    // The memory goes with its arena.
  }
}
