package dev.lorikeet.jlama.lora;

import dev.lorikeet.adapter.AdapterLease;
import dev.lorikeet.adapter.AdapterSpec;
import dev.lorikeet.adapter.LoraFactor;
import dev.lorikeet.adapter.LoraWeights;
import dev.lorikeet.adapter.TargetSpec;
import dev.lorikeet.shape.TargetModule;
import dev.lorikeet.tensor.Device;
import dev.lorikeet.tensor.ElementType;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SplittableRandom;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.DoubleSupplier;

/** An adapter in memory of its own; its rows lie in any order, at any multiple of the element. */
final class TestAdapter implements AdapterLease {
  private static final AtomicLong GENERATIONS = new AtomicLong();

  private final AdapterSpec spec;
  private final Map<TargetModule, Optional<LoraWeights>> weights;
  private boolean closed;

  private TestAdapter(String id, Map<TargetModule, Optional<LoraWeights>> weights) {
    this.weights = weights;
    List<TargetSpec> targets = new ArrayList<>();
    weights.forEach(
        (target, w) ->
            targets.add(
                TargetSpec.builder(target)
                    .rank(w.orElseThrow().rank())
                    .inFeatures(w.orElseThrow().a().width())
                    .outFeatures(w.orElseThrow().b().width())
                    .scaling(w.orElseThrow().scaling())
                    .aBlocks(w.orElseThrow().a().blocks())
                    .bBlocks(w.orElseThrow().b().blocks())
                    .type(w.orElseThrow().a().type())
                    .build()));
    spec = AdapterSpec.of(id, GENERATIONS.incrementAndGet(), targets);
  }

  static Builder builder(Arena arena, SplittableRandom random) {
    return new Builder(arena, random);
  }

  @Override
  public AdapterSpec spec() {
    return spec;
  }

  @Override
  public Optional<LoraWeights> weights(TargetModule target) {
    if (closed) {
      throw new IllegalStateException("the lease is closed");
    }
    return weights.getOrDefault(target, Optional.empty());
  }

  @Override
  public void close() {
    closed = true;
  }

  /** Collects target modules. */
  static final class Builder {
    private final Arena arena;
    private final SplittableRandom random;
    private final Map<TargetModule, Optional<LoraWeights>> weights = new HashMap<>();
    private boolean contiguous;

    private Builder(Arena arena, SplittableRandom random) {
      this.arena = arena;
      this.random = random;
    }

    Builder add(
        TargetModule target,
        int in,
        int out,
        int rank,
        int aBlocks,
        int bBlocks,
        ElementType type,
        float scaling) {
      LoraFactor a = factor(type, in, rank, aBlocks, random::nextGaussian);
      LoraFactor b = factor(type, out, rank, bBlocks, random::nextGaussian);
      return add(LoraWeights.of(target, a, b, scaling));
    }

    /** Rows in order, without gaps, as a store packs them. */
    Builder contiguous() {
      contiguous = true;
      return this;
    }

    Builder add(LoraWeights w) {
      weights.put(w.target(), Optional.of(w));
      return this;
    }

    LoraFactor factor(ElementType type, int width, int rank, int blocks, DoubleSupplier values) {
      int length = width / blocks;
      List<Integer> order = new ArrayList<>();
      for (int r = 0; r < rank; r++) {
        order.add(contiguous ? r : random.nextInt(r + 1), r);
      }
      long[] offsets = new long[rank];
      long next = 0;
      for (int r : order) {
        next += contiguous ? 0 : (long) random.nextInt(3) * type.bytes();
        offsets[r] = next;
        next += (long) length * type.bytes();
      }
      MemorySegment memory = arena.allocate(next, contiguous ? 64 : type.bytes());
      for (int r = 0; r < rank; r++) {
        for (int j = 0; j < length; j++) {
          long offset = offsets[r] + (long) j * type.bytes();
          type.write(memory, offset, (float) values.getAsDouble());
        }
      }
      return new LoraFactor(type, width, blocks, Device.HOST, memory, offsets);
    }

    TestAdapter build(String id) {
      return new TestAdapter(id, weights);
    }
  }
}
