package dev.lorikeet.cuda.lora;

import dev.lorikeet.adapter.AdapterLease;
import dev.lorikeet.adapter.AdapterSpec;
import dev.lorikeet.adapter.LoraFactor;
import dev.lorikeet.adapter.LoraWeights;
import dev.lorikeet.adapter.TargetSpec;
import dev.lorikeet.cuda.driver.CudaStream;
import dev.lorikeet.cuda.driver.DeviceMemory;
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
import java.util.Random;
import java.util.concurrent.atomic.AtomicLong;

/**
 * A BF16 adapter for benchmarks. All of them share one region of random host memory, so that
 * hundreds cost the host nothing; on the device each has its own pages.
 */
final class BenchmarkAdapter implements AdapterLease {
  private static final AtomicLong GENERATIONS = new AtomicLong(1);
  private static final int REGION_BYTES = 8 << 20;
  private static final MemorySegment REGION = randomRegion();

  private final Map<TargetModule, LoraWeights> weights = new HashMap<>();
  private final AdapterSpec spec;

  /**
   * The size of one target module.
   *
   * @param target the module
   * @param in the input features
   * @param out the output features
   */
  record Size(TargetModule target, int in, int out) {}

  BenchmarkAdapter(int rank, List<Size> sizes) {
    List<TargetSpec> targets = new ArrayList<>();
    for (Size size : sizes) {
      LoraFactor a = factor(rank, size.in());
      LoraFactor b = factor(rank, size.out());
      weights.put(size.target(), LoraWeights.of(size.target(), a, b, 1));
      targets.add(
          TargetSpec.builder(size.target())
              .rank(rank)
              .inFeatures(size.in())
              .outFeatures(size.out())
              .scaling(1)
              .type(ElementType.BF16)
              .build());
    }
    long generation = GENERATIONS.getAndIncrement();
    spec = AdapterSpec.of("benchmark-" + generation, generation, targets);
  }

  private static MemorySegment randomRegion() {
    MemorySegment region = Arena.global().allocate(REGION_BYTES, 64);
    Random random = new Random(1);
    for (int i = 0; i < REGION_BYTES / 2; i++) {
      ElementType.BF16.write(region, 2L * i, (float) (random.nextFloat() - 0.5) / 64);
    }
    return region;
  }

  /** Fills device memory with small random BF16 numbers. */
  static void randomize(DeviceMemory memory, CudaStream stream) {
    long filled = Math.min(memory.bytes(), REGION_BYTES);
    memory.write(0, REGION.asSlice(0, filled));
    while (filled < memory.bytes()) {
      long more = Math.min(filled, memory.bytes() - filled);
      stream.copyOnDevice(memory.address() + filled, memory.address(), more);
      filled += more;
    }
  }

  private static LoraFactor factor(int rank, int width) {
    long[] offsets = new long[rank];
    for (int r = 0; r < rank; r++) {
      offsets[r] = (long) r * width * 2 % (REGION_BYTES / 2);
    }
    return new LoraFactor(ElementType.BF16, width, 1, Device.HOST, REGION, offsets);
  }

  @Override
  public AdapterSpec spec() {
    return spec;
  }

  @Override
  public Optional<LoraWeights> weights(TargetModule target) {
    return Optional.ofNullable(weights.get(target));
  }

  @Override
  public void close() {}
}
