package dev.lorikeet.conformance.tensor;

import static org.junit.jupiter.api.Assertions.assertEquals;

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
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.concurrent.atomic.AtomicLong;
import java.util.random.RandomGenerator;

/**
 * An open lease on weights of the suite's own. The rows lie in random order with NaN between them,
 * at addresses that are multiples of the element size and of nothing more, as pages may hold them.
 */
public final class MemoryAdapter implements AdapterLease {
  private static final AtomicLong GENERATIONS = new AtomicLong(1_000_000);

  private final AdapterSpec spec;
  private final Map<TargetModule, LoraWeights> weights;
  private final MemorySegment memory;
  private final MemorySegment snapshot;
  private volatile boolean closed;

  private MemoryAdapter(
      AdapterSpec spec, Map<TargetModule, LoraWeights> weights, MemorySegment memory) {
    this.spec = spec;
    this.weights = weights;
    this.memory = memory;
    this.snapshot = Arena.ofAuto().allocate(memory.byteSize()).copyFrom(memory);
  }

  /**
   * The weights of one target module as numbers.
   *
   * @param a rows of A, the features of the row's block alone
   * @param b rows of B transposed, likewise
   */
  @SuppressWarnings("ArrayRecordComponent") // Never compared; private to the suite.
  public record Factors(
      TargetModule target,
      int in,
      int out,
      int aBlocks,
      int bBlocks,
      float scaling,
      float[][] a,
      float[][] b) {
    public int rank() {
      return a.length;
    }

    /** Returns random factors, drawn by {@code draw} and rounded to a type. */
    public static Factors random(
        Sizes sizes, float scaling, ElementType type, Draw draw, RandomGenerator random) {
      float[][] a = new float[sizes.rank][sizes.in / sizes.aBlocks];
      float[][] b = new float[sizes.rank][sizes.out / sizes.bBlocks];
      for (int r = 0; r < sizes.rank; r++) {
        for (int i = 0; i < a[r].length; i++) {
          a[r][i] = ElementCodec.round(type, draw.next(random));
        }
        for (int o = 0; o < b[r].length; o++) {
          b[r][o] = ElementCodec.round(type, draw.next(random));
        }
      }
      return new Factors(
          sizes.target, sizes.in, sizes.out, sizes.aBlocks, sizes.bBlocks, scaling, a, b);
    }

    /** Returns the same factors with the zeros written out. */
    public Factors dense() {
      return new Factors(
          target, in, out, 1, 1, scaling, dense(a, in, aBlocks), dense(b, out, bBlocks));
    }

    private static float[][] dense(float[][] rows, int width, int blocks) {
      float[][] dense = new float[rows.length][width];
      for (int r = 0; r < rows.length; r++) {
        System.arraycopy(rows[r], 0, dense[r], start(rows, r, width, blocks), rows[r].length);
      }
      return dense;
    }

    /** Returns the first feature that a row covers. */
    private static int start(float[][] rows, int row, int width, int blocks) {
      return row / (rows.length / blocks) * (width / blocks);
    }

    public int aStart(int row) {
      return start(a, row, in, aBlocks);
    }

    public int bStart(int row) {
      return start(b, row, out, bBlocks);
    }
  }

  /** The sizes of one target module's factors. */
  public record Sizes(TargetModule target, int rank, int in, int out, int aBlocks, int bBlocks) {
    public static Sizes dense(TargetModule target, int rank, int in, int out) {
      return new Sizes(target, rank, in, out, 1, 1);
    }
  }

  /** Draws a weight. */
  @FunctionalInterface
  public interface Draw {
    float next(RandomGenerator random);
  }

  /** Puts factors into memory and returns an open lease on them. */
  public static MemoryAdapter of(
      String id, ElementType type, List<Factors> factors, RandomGenerator random) {
    long elements = 64;
    for (Factors f : factors) {
      for (int r = 0; r < f.rank(); r++) {
        elements += f.a[r].length + f.b[r].length + 16L;
      }
    }
    MemorySegment memory = Arena.ofAuto().allocate(elements * type.bytes(), 64);
    for (long i = 0; i < elements; i++) {
      ElementCodec.set(memory, type, i, Float.NaN);
    }
    Scatter scatter = new Scatter(memory, type, random);
    Map<TargetModule, LoraWeights> weights = new TreeMap<>();
    List<TargetSpec> targets = new ArrayList<>();
    for (Factors f : factors) {
      LoraFactor a = scatter.place(f.a, f.in, f.aBlocks);
      LoraFactor b = scatter.place(f.b, f.out, f.bBlocks);
      weights.put(f.target, LoraWeights.of(f.target, a, b, f.scaling));
    }
    weights.forEach(
        (target, w) ->
            targets.add(
                TargetSpec.builder(target)
                    .rank(w.rank())
                    .inFeatures(w.a().width())
                    .outFeatures(w.b().width())
                    .scaling(w.scaling())
                    .aBlocks(w.a().blocks())
                    .bBlocks(w.b().blocks())
                    .type(type)
                    .build()));
    return new MemoryAdapter(
        AdapterSpec.of(id, GENERATIONS.incrementAndGet(), targets), weights, memory);
  }

  private static final class Scatter {
    private final MemorySegment memory;
    private final ElementType type;
    private final RandomGenerator random;
    private long next;

    Scatter(MemorySegment memory, ElementType type, RandomGenerator random) {
      this.memory = memory;
      this.type = type;
      this.random = random;
    }

    LoraFactor place(float[][] rows, int width, int blocks) {
      long[] offsets = new long[rows.length];
      int first = random.nextInt(rows.length);
      boolean backwards = random.nextBoolean();
      for (int i = 0; i < rows.length; i++) {
        int row = (first + (backwards ? rows.length - i : i)) % rows.length;
        next += random.nextInt(8);
        offsets[row] = next * type.bytes();
        for (float value : rows[row]) {
          ElementCodec.set(memory, type, next++, value);
        }
      }
      return new LoraFactor(type, width, blocks, Device.HOST, memory, offsets);
    }
  }

  /** Checks that the weights are as they were. */
  public void expectUnchanged() {
    assertEquals(
        -1,
        memory.mismatch(snapshot),
        () -> "weights of adapter '" + spec.id() + "': first byte that changed");
  }

  @Override
  public AdapterSpec spec() {
    return spec;
  }

  @Override
  public Optional<LoraWeights> weights(TargetModule target) {
    if (closed) {
      throw new IllegalStateException("lease on adapter '" + spec.id() + "': closed");
    }
    return Optional.ofNullable(weights.get(target));
  }

  @Override
  public void close() {
    closed = true;
  }
}
