package dev.lorikeet.cuda.lora;

import dev.lorikeet.cuda.driver.DeviceMemory;
import dev.lorikeet.executor.MergePlan;
import dev.lorikeet.shape.Projection;
import dev.lorikeet.shape.TargetModule;
import dev.lorikeet.tensor.ElementType;
import dev.lorikeet.tensor.Tensor;
import java.util.ArrayList;
import java.util.List;

/**
 * The fused switch of a Llama-2-7B shape: seven target modules per layer in BF16, two of eight
 * adapters of rank 16; in one launch, and module by module.
 */
final class SwitchBenchmark {
  private static final int ADAPTERS = 8;
  private static final int RANK = 16;

  private final CudaLoraExecutor executor;
  private final DeviceTimer timer;

  /** What was measured: the layers that fit, bytes that must move, microseconds per switch. */
  record Result(int layers, long bytes, double fusedMicros, double perModuleMicros) {}

  SwitchBenchmark(CudaLoraExecutor executor, DeviceTimer timer) {
    this.executor = executor;
    this.timer = timer;
  }

  private static int out(Projection projection, int hidden, int intermediate) {
    return projection == Projection.GATE || projection == Projection.UP ? intermediate : hidden;
  }

  private static int in(Projection projection, int hidden, int intermediate) {
    return projection == Projection.DOWN ? intermediate : hidden;
  }

  Result run(int layers, int hidden, int intermediate) {
    List<BenchmarkAdapter.Size> sizes = new ArrayList<>();
    long bytes = 0;
    for (int layer = 0; layer < layers; layer++) {
      for (Projection p : Projection.ofLayer()) {
        int in = in(p, hidden, intermediate);
        int out = out(p, hidden, intermediate);
        sizes.add(new BenchmarkAdapter.Size(TargetModule.of(layer, p), in, out));
        bytes += 2L * in * out;
      }
    }
    List<BenchmarkAdapter> adapters = new ArrayList<>();
    for (int i = 0; i < ADAPTERS; i++) {
      adapters.add(new BenchmarkAdapter(RANK, sizes));
    }
    try (DeviceMemory pristine = DeviceMemory.allocate(bytes);
        DeviceMemory merged = DeviceMemory.allocate(bytes)) {
      BenchmarkAdapter.randomize(pristine, executor.stream());
      List<MergePlan.Target> targets = new ArrayList<>();
      long offset = 0;
      for (BenchmarkAdapter.Size size : sizes) {
        targets.add(
            new MergePlan.Target(
                size.target(), tensor(pristine, offset, size), tensor(merged, offset, size)));
        offset += 2L * size.in() * size.out();
      }
      double fused = timer.medianMicros(ADAPTERS, i -> switchTo(targets, adapters, i));
      double perModule =
          timer.medianMicros(
              ADAPTERS,
              i -> {
                for (MergePlan.Target target : targets) {
                  switchTo(List.of(target), adapters, i);
                }
              });
      return new Result(layers, 2 * bytes, fused, perModule);
    }
  }

  private void switchTo(List<MergePlan.Target> targets, List<BenchmarkAdapter> adapters, int i) {
    executor.switchMerged(
        new MergePlan(
            targets,
            List.of(
                new MergePlan.Share(adapters.get(i), 0.6f),
                new MergePlan.Share(adapters.get((i + 3) % ADAPTERS), 0.4f))));
  }

  private Tensor tensor(DeviceMemory memory, long offset, BenchmarkAdapter.Size size) {
    return memory.tensor(
        offset, ElementType.BF16, size.out(), size.in(), size.in(), executor.device());
  }
}
