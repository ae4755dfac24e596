package dev.lorikeet.bench.routing;

import dev.lorikeet.Plugins;
import dev.lorikeet.executor.ExecutorConfig;
import dev.lorikeet.executor.LoraBatch;
import dev.lorikeet.executor.LoraExecutor;
import dev.lorikeet.executor.LoraExecutorProvider;
import dev.lorikeet.executor.MergePlan;
import dev.lorikeet.executor.TargetGroup;
import dev.lorikeet.plugin.Availability;
import dev.lorikeet.plugin.Options;
import dev.lorikeet.tensor.Device;
import dev.lorikeet.tensor.ElementType;
import dev.lorikeet.tensor.Tensor;
import java.util.List;
import java.util.Optional;

/**
 * The baseline that LoRA-Switch (arXiv 2405.17741) measures: one call for each adapter and module,
 * on the same kernels as everything else here.
 */
public final class PerModuleExecutorProvider implements LoraExecutorProvider {
  static final String NAME = "per-module";
  private static final String KERNELS = "cpu-vector";

  /** For {@link java.util.ServiceLoader}. */
  public PerModuleExecutorProvider() {}

  @Override
  public String name() {
    return NAME;
  }

  @Override
  public int priority() {
    return Integer.MIN_VALUE; // a baseline, never a choice
  }

  @Override
  public Availability availability() {
    return Availability.available("calls " + KERNELS + " once for each adapter and module");
  }

  @Override
  public LoraExecutor open(ExecutorConfig config) {
    Options.none("LoRA executor plugin 'per-module'", config.options());
    return new PerModule(Plugins.discover().loraExecutor(Optional.of(KERNELS)).open(config));
  }

  private record PerModule(LoraExecutor kernels, LoraBatch single) implements LoraExecutor {
    PerModule(LoraExecutor kernels) {
      this(kernels, new LoraBatch());
    }

    @Override
    public Device device() {
      return kernels.device();
    }

    @Override
    public boolean merges(ElementType type, Device device) {
      return kernels.merges(type, device);
    }

    @Override
    public void addDelta(TargetGroup targets, LoraBatch batch, Tensor x, List<Tensor> y) {
      for (int s = 0; s < batch.segments(); s++) {
        single.reset(batch.tokens()).beginSegment(batch.adapter(s));
        for (int e = batch.segmentStart(s); e < batch.segmentEnd(s); e++) {
          single.add(batch.token(e), batch.weight(e));
        }
        for (int i = 0; i < y.size(); i++) {
          TargetGroup module = TargetGroup.of(targets.layer(), targets.projections().get(i));
          kernels.addDelta(module, single, x, List.of(y.get(i)));
        }
      }
    }

    @Override
    public void switchMerged(MergePlan plan) {
      kernels.switchMerged(plan);
    }

    @Override
    public void close() {
      kernels.close();
    }
  }
}
