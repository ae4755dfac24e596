package dev.lorikeet.cuda.lora;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.cuda.driver.DeviceMemory;
import dev.lorikeet.cuda.emulation.EmulatedDriver;
import dev.lorikeet.executor.ExecutorConfig;
import dev.lorikeet.executor.MergePlan;
import dev.lorikeet.executor.Workers;
import dev.lorikeet.shape.Projection;
import dev.lorikeet.shape.TargetModule;
import dev.lorikeet.tensor.ElementType;
import dev.lorikeet.tensor.Tensor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** Merged states of weights on the device, by both kernels, against sums in double. */
class DeviceSwitchTest {
  private int[][] sizes = {{72, 264}, {40, 24}, {33, 19}, {64, 512}};
  private final long seed = Long.getLong("lorikeet.cuda.seed", System.nanoTime());
  private final Random random = new Random(seed);
  private final Arena arena = Arena.ofShared();
  private final List<DeviceMemory> memories = new ArrayList<>();
  private final List<MemorySegment> pristine = new ArrayList<>();
  private final List<DeviceMemory> merged = new ArrayList<>();
  private final List<MergePlan.Target> targets = new ArrayList<>();
  private final CudaLoraExecutor executor = open();

  private static CudaLoraExecutor open() {
    EmulatedDriver.install();
    return (CudaLoraExecutor)
        new CudaLoraExecutorProvider()
            .open(ExecutorConfig.of(Workers.SINGLE).withOptions(Map.of("memory-mib", "8")));
  }

  @BeforeAll
  static void emulate() {
    EmulatedDriver.install();
  }

  @AfterEach
  void close() {
    memories.forEach(DeviceMemory::close);
    executor.close();
    arena.close();
  }

  private static TargetModule module(int i) {
    int projections = Projection.ofLayer().size();
    return TargetModule.of(i / projections, Projection.ofLayer().get(i % projections));
  }

  private static boolean changes(int i) {
    return i % 3 != 1;
  }

  private void weights(ElementType type) {
    for (int i = 0; i < sizes.length; i++) {
      int out = sizes[i][0];
      int in = sizes[i][1];
      MemorySegment host = arena.allocate((long) out * in * type.bytes(), 64);
      for (int k = 0; k < out * in; k++) {
        type.write(host, (long) k * type.bytes(), (float) random.nextGaussian());
      }
      type.write(host, 0, -0f);
      pristine.add(host);
      targets.add(
          new MergePlan.Target(
              module(i),
              onDevice(host, type, out, in, false),
              onDevice(host, type, out, in, true)));
    }
  }

  private Tensor onDevice(MemorySegment host, ElementType type, int out, int in, boolean isMerged) {
    DeviceMemory memory = DeviceMemory.allocate(host.byteSize());
    memories.add(memory);
    if (isMerged) {
      merged.add(memory);
    } else {
      memory.write(0, host);
    }
    return memory.tensor(0, type, out, in, in, executor.device());
  }

  private RandomAdapter adapter(ElementType type, int rank, int blocks) {
    RandomAdapter adapter = new RandomAdapter(random);
    for (int i = 0; i < sizes.length; i++) {
      int b = sizes[i][0] % blocks == 0 && sizes[i][1] % blocks == 0 ? blocks : 1;
      if (changes(i)) {
        adapter.with(module(i), type, rank, sizes[i][1], sizes[i][0], b, 1);
      }
    }
    return adapter;
  }

  private void check(ElementType type, List<MergePlan.Share> mixture) {
    executor.switchMerged(new MergePlan(targets, mixture));
    executor.stream().synchronize();
    for (int i = 0; i < sizes.length; i++) {
      int in = sizes[i][1];
      MemorySegment found = arena.allocate(pristine.get(i).byteSize(), 64);
      merged.get(i).read(0, found);
      if (!changes(i) || mixture.isEmpty()) {
        assertEquals(-1, pristine.get(i).mismatch(found), "module " + i + " is copied bit for bit");
        continue;
      }
      for (int k = 0; k < sizes[i][0] * in; k++) {
        long offset = (long) k * type.bytes();
        double before = type.read(pristine.get(i), offset);
        double exact = before;
        double size = Math.abs(before);
        for (MergePlan.Share share : mixture) {
          double part = ((RandomAdapter) share.adapter()).product(module(i), k / in, k % in);
          exact += share.weight() * part;
          size += Math.abs(share.weight() * part) + 0.1;
        }
        double bound = 400 * 0x1p-24 * size + type.unitRoundoff() * Math.abs(exact);
        float value = type.read(found, offset);
        double expected = exact;
        int place = k;
        assertTrue(
            Math.abs(value - exact) <= bound,
            () ->
                "-Dlorikeet.cuda.seed="
                    + seed
                    + ": element "
                    + place
                    + ": expected "
                    + expected
                    + ", found "
                    + value);
      }
    }
  }

  private void switchBackAndForth(ElementType type, ElementType ofAdapters, int blocks) {
    weights(type);
    try (RandomAdapter one = adapter(ofAdapters, 16, blocks);
        RandomAdapter two = adapter(ofAdapters, 28, 1)) {
      check(type, List.of(new MergePlan.Share(one, 0.7f), new MergePlan.Share(two, -0.4f)));
      check(type, List.of(new MergePlan.Share(two, 1)));
      check(type, List.of());
    }
  }

  @Test
  void tensorCoresMergeBf16() {
    switchBackAndForth(ElementType.BF16, ElementType.BF16, 1);
    assertTrue(EmulatedDriver.launches("fused_switch_mma_bf16") > 0);
  }

  @Test
  void tensorCoresMergeF16() {
    switchBackAndForth(ElementType.F16, ElementType.F16, 1);
    assertTrue(EmulatedDriver.launches("fused_switch_mma_f16") > 0);
  }

  @Test
  void f32WeightsTakeBf16Adapters() {
    switchBackAndForth(ElementType.F32, ElementType.BF16, 1);
    assertTrue(EmulatedDriver.launches("fused_switch_f32") > 0);
  }

  @Test
  void oneLaunchFindsEachOfManyModules() {
    // More than a warp finds in two steps, and no whole number of them.
    sizes = new int[1000 + random.nextInt(100)][];
    for (int i = 0; i < sizes.length; i++) {
      sizes[i] = new int[] {1 + random.nextInt(i % 50 == 0 ? 100 : 5), 1 + random.nextInt(40)};
    }
    weights(ElementType.F32);
    int before = EmulatedDriver.launches("fused_switch_f32");
    try (RandomAdapter one = adapter(ElementType.F16, 3, 1)) {
      check(ElementType.F32, List.of(new MergePlan.Share(one, 0.5f)));
    }
    assertTrue(EmulatedDriver.launches("fused_switch_f32") > before);
  }

  @Test
  void f32AdaptersMergeIntoBf16() {
    switchBackAndForth(ElementType.BF16, ElementType.F32, 1);
    assertTrue(EmulatedDriver.launches("fused_switch_bf16") > 0);
  }

  @Test
  void blockDiagonalAdaptersMergeIntoBf16() {
    switchBackAndForth(ElementType.BF16, ElementType.BF16, 4);
    assertTrue(EmulatedDriver.launches("fused_switch_bf16") > 0);
  }
}
