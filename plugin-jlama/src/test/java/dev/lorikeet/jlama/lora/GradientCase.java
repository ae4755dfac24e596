package dev.lorikeet.jlama.lora;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.fail;

import dev.lorikeet.adapter.AdapterLease;
import dev.lorikeet.adapter.LoraWeights;
import dev.lorikeet.executor.FactorGradients;
import dev.lorikeet.executor.GradientSums;
import dev.lorikeet.executor.LoraBatch;
import dev.lorikeet.executor.LoraExecutor;
import dev.lorikeet.shape.TargetModule;
import dev.lorikeet.tensor.Tensor;
import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.SplittableRandom;

/** One random call of {@code addGradients}: a {@link LoraCase} whose outputs are gradients. */
final class GradientCase {
  final LoraCase call;
  private final long seed;
  private final Set<AdapterLease> frozen = new HashSet<>();
  private final boolean inputLearns;
  private final boolean weightsLearn;

  private GradientCase(LoraCase call, long seed) {
    this.call = call;
    this.seed = seed;
    SplittableRandom random = new SplittableRandom(seed);
    for (AdapterLease adapter : call.adapters) {
      if (random.nextInt(4) == 0) {
        frozen.add(adapter);
      }
    }
    inputLearns = random.nextInt(5) > 0;
    weightsLearn = random.nextBoolean();
  }

  static GradientCase random(Arena arena, long seed) {
    return new GradientCase(LoraCase.random(arena, seed), seed);
  }

  private record Key(AdapterLease adapter, TargetModule target) {}

  /** What a call added to: everything begins at the same random values. */
  final class Result {
    final Tensor dx;
    final Tensor dw;
    private final Map<Key, FactorGradients.Sums> factors = new HashMap<>();

    private Result(Arena arena) {
      SplittableRandom random = new SplittableRandom(seed);
      dx =
          LoraCase.activations(
              arena, random, Math.toIntExact(call.x.rows()), Math.toIntExact(call.x.columns()));
      dw = LoraCase.activations(arena, random, call.batch.entries(), 1);
      for (AdapterLease adapter : call.adapters) {
        for (TargetModule target : call.targets.targets()) {
          Optional<LoraWeights> weights = adapter.weights(target);
          if (weights.isPresent() && !frozen.contains(adapter)) {
            factors.put(new Key(adapter, target), zeros(arena, random, weights.get()));
          }
        }
      }
    }

    private static FactorGradients.Sums zeros(Arena arena, SplittableRandom random, LoraWeights w) {
      return new FactorGradients.Sums(
          LoraCase.activations(arena, random, w.rank(), w.a().rowLength()),
          LoraCase.activations(arena, random, w.b().width(), w.rank() / w.b().blocks()));
    }

    GradientSums sums() {
      GradientSums sums =
          GradientSums.of(
              dx, (adapter, target) -> Optional.ofNullable(factors.get(new Key(adapter, target))));
      sums = weightsLearn ? sums.withWeights(dw) : sums;
      return inputLearns ? sums : sums.withoutInput();
    }

    /** Returns all tensors, in one order for all results of a case. */
    List<Tensor> all() {
      List<Tensor> all = new ArrayList<>(List.of(dx, dw));
      for (AdapterLease adapter : call.adapters) {
        all.addAll(of(adapter));
      }
      return all;
    }

    /** Returns the gradients of an adapter. */
    List<Tensor> of(AdapterLease adapter) {
      List<Tensor> all = new ArrayList<>();
      for (TargetModule target : call.targets.targets()) {
        Optional.ofNullable(factors.get(new Key(adapter, target)))
            .ifPresent(sums -> all.addAll(List.of(sums.a(), sums.b())));
      }
      return all;
    }
  }

  Result nothing(Arena arena) {
    return new Result(arena);
  }

  Result run(LoraExecutor executor, Arena arena) {
    return run(executor, call.batch, new Result(arena));
  }

  /** Runs with another batch of the same tokens and adapters. */
  Result run(LoraExecutor executor, LoraBatch batch, Result result) {
    executor
        .gradients()
        .orElseThrow()
        .addGradients(call.targets, batch, call.x, call.y, result.sums());
    return result;
  }

  /**
   * Asserts that results are close: within F32 rounding of sums of so many products of numbers
   * drawn from normal distributions.
   */
  void assertClose(Result expected, Result found) {
    for (int i = 0; i < expected.all().size(); i++) {
      Tensor a = expected.all().get(i);
      Tensor b = found.all().get(i);
      double scale = 1;
      for (int row = 0; row < a.rows(); row++) {
        for (int column = 0; column < a.columns(); column++) {
          scale = Math.max(scale, Math.abs(LoraReference.at(a, row, column)));
        }
      }
      for (int row = 0; row < a.rows(); row++) {
        for (int column = 0; column < a.columns(); column++) {
          float at = LoraReference.at(a, row, column);
          if (!(Math.abs(at - LoraReference.at(b, row, column)) <= 1e-4 * scale)) {
            fail(
                "seed %d, tensor %d, row %d, column %d: expected %g of at most %g, found %g"
                    .formatted(seed, i, row, column, at, scale, LoraReference.at(b, row, column)));
          }
        }
      }
    }
  }

  static void assertSameBits(List<Tensor> expected, List<Tensor> found, String what) {
    for (int i = 0; i < expected.size(); i++) {
      assertEquals(
          -1,
          expected.get(i).segment().mismatch(found.get(i).segment()),
          what + ": first byte of tensor " + i + " that differs");
    }
  }
}
