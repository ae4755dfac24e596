package dev.lorikeet.cuda.lora;

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
import java.util.Objects;
import java.util.Optional;
import java.util.Random;
import java.util.concurrent.atomic.AtomicLong;

/** An adapter of random weights in host memory, with its rows in a random order. */
final class RandomAdapter implements AdapterLease {
  private static final AtomicLong GENERATIONS = new AtomicLong(1000);

  private final Arena arena = Arena.ofShared();
  private final Random random;
  private final List<TargetSpec> targets = new ArrayList<>();
  private final Map<TargetModule, LoraWeights> weights = new HashMap<>();
  private final Map<TargetModule, double[][]> products = new HashMap<>();
  private final long generation = GENERATIONS.getAndIncrement();
  private boolean closed;

  RandomAdapter(Random random) {
    this.random = random;
  }

  RandomAdapter with(
      TargetModule target, ElementType type, int rank, int in, int out, int aBlocks, int bBlocks) {
    float scaling = 0.5f + random.nextFloat();
    LoraFactor a = factor(type, rank, in, aBlocks);
    LoraFactor b = factor(type, rank, out, bBlocks);
    targets.add(
        TargetSpec.builder(target)
            .rank(rank)
            .inFeatures(in)
            .outFeatures(out)
            .scaling(scaling)
            .aBlocks(aBlocks)
            .bBlocks(bBlocks)
            .type(type)
            .build());
    weights.put(target, LoraWeights.of(target, a, b, scaling));
    products.put(target, new double[][] {dense(a), dense(b)});
    return this;
  }

  RandomAdapter with(TargetModule target, ElementType type, int rank, int in, int out) {
    return with(target, type, rank, in, out, 1, 1);
  }

  private LoraFactor factor(ElementType type, int rank, int width, int blocks) {
    int length = width / blocks;
    List<Integer> order = new ArrayList<>();
    for (int r = 0; r < rank; r++) {
      order.add(r);
    }
    java.util.Collections.shuffle(order, random);
    MemorySegment memory = arena.allocate((long) rank * length * type.bytes() + 64, 64);
    long[] offsets = new long[rank];
    for (int r = 0; r < rank; r++) {
      offsets[r] = (long) order.get(r) * length * type.bytes();
      for (int k = 0; k < length; k++) {
        long offset = offsets[r] + (long) k * type.bytes();
        type.write(memory, offset, (float) (random.nextGaussian() / Math.sqrt(width)));
      }
    }
    return new LoraFactor(type, width, blocks, Device.HOST, memory, offsets);
  }

  /** The factor as a dense matrix {@code [rank, width]}. */
  private static double[] dense(LoraFactor factor) {
    double[] dense = new double[factor.rank() * factor.width()];
    for (int r = 0; r < factor.rank(); r++) {
      for (int k = 0; k < factor.rowLength(); k++) {
        long offset = factor.rowOffset(r) + (long) k * factor.type().bytes();
        dense[r * factor.width() + factor.rowStart(r) + k] =
            factor.type().read(factor.memory(), offset);
      }
    }
    return dense;
  }

  /** Adds {@code weight * scaling * B (A x)} in double, and the same of absolute values. */
  void addExact(
      TargetModule target, double weight, double[] x, double[] delta, double[] magnitude) {
    LoraWeights w = weights.get(target);
    if (w == null) {
      return;
    }
    double[][] product = Objects.requireNonNull(products.get(target));
    double[] a = product[0];
    double[] b = product[1];
    int in = w.a().width();
    int out = w.b().width();
    for (int r = 0; r < w.rank(); r++) {
      double h = 0;
      double size = 0;
      for (int k = 0; k < in; k++) {
        h += a[r * in + k] * x[k];
        size += Math.abs(a[r * in + k] * x[k]);
      }
      for (int o = 0; o < out; o++) {
        delta[o] += weight * w.scaling() * h * b[r * out + o];
        magnitude[o] += Math.abs(weight * w.scaling() * size * b[r * out + o]);
      }
    }
  }

  /** Element {@code (o, k)} of {@code scaling * B A}, in double. */
  double product(TargetModule target, int o, int k) {
    LoraWeights w = weights.get(target);
    if (w == null) {
      return 0;
    }
    double[][] product = Objects.requireNonNull(products.get(target));
    double sum = 0;
    for (int r = 0; r < w.rank(); r++) {
      sum += product[0][r * w.a().width() + k] * product[1][r * w.b().width() + o];
    }
    return sum * w.scaling();
  }

  @Override
  public AdapterSpec spec() {
    return AdapterSpec.of("random-" + generation, generation, targets);
  }

  @Override
  public Optional<LoraWeights> weights(TargetModule target) {
    if (closed) {
      throw new IllegalStateException("closed");
    }
    return Optional.ofNullable(weights.get(target));
  }

  @Override
  public void close() {
    if (!closed) {
      closed = true;
      arena.close();
    }
  }
}
