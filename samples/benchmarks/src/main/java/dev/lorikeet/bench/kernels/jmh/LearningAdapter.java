package dev.lorikeet.bench.kernels.jmh;

import dev.lorikeet.adapter.AdapterLease;
import dev.lorikeet.adapter.AdapterSpec;
import dev.lorikeet.adapter.LoraFactor;
import dev.lorikeet.adapter.LoraWeights;
import dev.lorikeet.adapter.TargetSpec;
import dev.lorikeet.executor.FactorGradients;
import dev.lorikeet.executor.TargetGroup;
import dev.lorikeet.shape.TargetModule;
import dev.lorikeet.tensor.ElementType;
import dev.lorikeet.tensor.Tensor;
import java.lang.foreign.Arena;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/** An adapter in F32 on one group of square modules, with the gradients of its factors. */
final class LearningAdapter implements AdapterLease, FactorGradients {
  private final AdapterSpec spec;
  private final Map<TargetModule, Optional<LoraWeights>> weights = new HashMap<>();
  private final Map<TargetModule, Optional<Sums>> sums = new HashMap<>();

  LearningAdapter(Arena arena, TargetGroup group, int hidden, int rank) {
    for (TargetModule target : group.targets()) {
      LoraFactor a = factor(arena, hidden, rank);
      LoraFactor b = factor(arena, hidden, rank);
      weights.put(target, Optional.of(LoraWeights.of(target, a, b, 1)));
      Tensor gradientOfA = tensor(arena, rank, hidden);
      Tensor gradientOfB = tensor(arena, hidden, rank);
      sums.put(target, Optional.of(new Sums(gradientOfA, gradientOfB)));
    }
    List<TargetSpec> targets =
        group.targets().stream()
            .map(
                target ->
                    TargetSpec.builder(target)
                        .rank(rank)
                        .inFeatures(hidden)
                        .outFeatures(hidden)
                        .scaling(1)
                        .build())
            .toList();
    spec = AdapterSpec.of("learning", 1, targets);
  }

  private static LoraFactor factor(Arena arena, int hidden, int rank) {
    return LoraFactor.contiguous(
        ElementType.F32, rank, hidden, 1, Operands.floats(arena, (long) rank * hidden));
  }

  static Tensor tensor(Arena arena, int rows, int columns) {
    return Tensor.host(
        Operands.floats(arena, (long) rows * columns), ElementType.F32, rows, columns);
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
  public Optional<Sums> of(AdapterLease adapter, TargetModule target) {
    return sums.getOrDefault(target, Optional.empty());
  }

  @Override
  public void close() {}
}
