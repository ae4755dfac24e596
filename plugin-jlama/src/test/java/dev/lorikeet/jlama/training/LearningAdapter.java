package dev.lorikeet.jlama.training;

import dev.lorikeet.adapter.AdapterLease;
import dev.lorikeet.adapter.AdapterSpec;
import dev.lorikeet.adapter.LoraFactor;
import dev.lorikeet.adapter.LoraWeights;
import dev.lorikeet.adapter.TargetSpec;
import dev.lorikeet.executor.FactorGradients;
import dev.lorikeet.shape.ModelShape;
import dev.lorikeet.shape.Projection;
import dev.lorikeet.shape.TargetModule;
import dev.lorikeet.tensor.ElementType;
import dev.lorikeet.tensor.Tensor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.TreeMap;
import java.util.function.Supplier;

/**
 * An adapter whose weights are written between steps, with the sums of its gradients. Its factors
 * are held in the shapes of PEFT, and written to the memory that executors read by {@link
 * Module#write}.
 */
final class LearningAdapter implements AdapterLease {
  private final AdapterSpec spec;
  private final Map<TargetModule, Module> modules = new TreeMap<>();

  LearningAdapter(String id) {
    TargetSpec target =
        TargetSpec.builder(TargetModule.of(0, Projection.Q))
            .rank(1)
            .inFeatures(1)
            .outFeatures(1)
            .scaling(1)
            .build();
    spec = AdapterSpec.of(id, 1, List.of(target)); // must name one, and nobody looks
  }

  /** One target module: factors in the shapes of PEFT, their gradients, and what executors read. */
  static final class Module {
    final TargetModule target;
    final int rank;
    final int out;
    final int bBlocks;
    final float scaling;
    final float[] a;
    final float[] b;
    final Tensor dA;
    final Tensor dB;
    final LoraWeights weights;

    Module(
        TargetModule target,
        ModelShape shape,
        int rank,
        int aBlocks,
        int bBlocks,
        float scaling,
        Supplier<Float> aValues,
        Supplier<Float> bValues) {
      int in = shape.inFeatures(target.projection());
      this.target = target;
      this.rank = rank;
      this.out = shape.outFeatures(target.projection());
      this.bBlocks = bBlocks;
      this.scaling = scaling;
      a = values(rank * (in / aBlocks), aValues);
      b = values(out * (rank / bBlocks), bValues);
      dA = floats(rank, in / aBlocks);
      dB = floats(out, rank / bBlocks);
      weights =
          LoraWeights.of(target, factor(in, rank, aBlocks), factor(out, rank, bBlocks), scaling);
      write();
    }

    private static float[] values(int count, Supplier<Float> next) {
      float[] values = new float[count];
      for (int i = 0; i < count; i++) {
        values[i] = next.get();
      }
      return values;
    }

    private static Tensor floats(int rows, int columns) {
      MemorySegment memory = Arena.ofAuto().allocate((long) rows * columns * 4, 64);
      return Tensor.host(memory, ElementType.F32, rows, columns);
    }

    private static LoraFactor factor(int width, int rank, int blocks) {
      MemorySegment memory = Arena.ofAuto().allocate((long) rank * (width / blocks) * 4, 64);
      return LoraFactor.contiguous(ElementType.F32, rank, width, blocks, memory);
    }

    /** Returns which row of the transposed B an element of PEFT's is in. */
    int rankOf(int output, int column) {
      return output / (out / bBlocks) * (rank / bBlocks) + column;
    }

    void write() {
      MemorySegment.copy(a, 0, weights.a().memory(), ValueLayout.JAVA_FLOAT, 0, a.length);
      int columns = rank / bBlocks;
      for (int i = 0; i < b.length; i++) {
        int output = i / columns;
        int row = rankOf(output, i % columns);
        long at = weights.b().rowOffset(row) + (output - weights.b().rowStart(row)) * 4L;
        weights.b().memory().set(ValueLayout.JAVA_FLOAT, at, b[i]);
      }
    }

    /** Adds the delta of one token, in double precision. */
    void add(double[] x, double[] y) {
      double[] s = new double[rank];
      for (int r = 0; r < rank; r++) {
        int length = weights.a().rowLength();
        for (int i = 0; i < length; i++) {
          s[r] += (double) a[r * length + i] * x[weights.a().rowStart(r) + i];
        }
      }
      int columns = rank / bBlocks;
      for (int i = 0; i < b.length; i++) {
        y[i / columns] += scaling * (double) b[i] * s[rankOf(i / columns, i % columns)];
      }
    }
  }

  void add(Module module) {
    modules.put(module.target, module);
  }

  /** Returns an adapter of random factors, of random ranks and blocks, on some projections. */
  static LearningAdapter random(
      String id, ModelShape shape, Random random, Collection<Projection> projections) {
    LearningAdapter adapter = new LearningAdapter(id);
    for (int layer = 0; layer < shape.layers(); layer++) {
      for (Projection projection : projections) {
        int blocks = 1 + random.nextInt(2);
        double a = 1 / Math.sqrt(shape.inFeatures(projection));
        adapter.add(
            new Module(
                TargetModule.of(layer, projection),
                shape,
                blocks * (1 + random.nextInt(5)),
                random.nextBoolean() ? blocks : 1,
                random.nextBoolean() ? blocks : 1,
                1 + random.nextFloat(),
                () -> (float) (random.nextGaussian() * a),
                () -> (float) (random.nextGaussian() * 0.2)));
      }
    }
    return adapter;
  }

  Collection<Module> modules() {
    return modules.values();
  }

  Optional<Module> module(TargetModule target) {
    return Optional.ofNullable(modules.get(target));
  }

  /** Returns where the gradients of adapters of this class go. */
  static FactorGradients gradients() {
    return (lease, target) ->
        ((LearningAdapter) lease)
            .module(target)
            .map(module -> new FactorGradients.Sums(module.dA, module.dB));
  }

  void clearGradients() {
    for (Module module : modules.values()) {
      module.dA.segment().fill((byte) 0);
      module.dB.segment().fill((byte) 0);
    }
  }

  /** Returns all gradients, those of a module's A before those of its B. */
  float[] allGradients() {
    List<float[]> parts = new ArrayList<>();
    int count = 0;
    for (Module module : modules.values()) {
      for (Tensor tensor : List.of(module.dA, module.dB)) {
        parts.add(tensor.segment().toArray(ValueLayout.JAVA_FLOAT));
        count += parts.getLast().length;
      }
    }
    float[] all = new float[count];
    int at = 0;
    for (float[] part : parts) {
      System.arraycopy(part, 0, all, at, part.length);
      at += part.length;
    }
    return all;
  }

  double gradientNorm() {
    double squares = 0;
    for (float g : allGradients()) {
      squares += (double) g * g;
    }
    return Math.sqrt(squares);
  }

  @Override
  public AdapterSpec spec() {
    return spec;
  }

  @Override
  public Optional<LoraWeights> weights(TargetModule target) {
    return module(target).map(module -> module.weights);
  }

  @Override
  public void close() {}
}
