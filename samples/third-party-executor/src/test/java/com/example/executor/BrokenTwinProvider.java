package com.example.executor;

import dev.lorikeet.adapter.LoraFactor;
import dev.lorikeet.executor.ExecutorConfig;
import dev.lorikeet.executor.LoraExecutor;
import dev.lorikeet.executor.LoraExecutorProvider;
import dev.lorikeet.executor.Workers;
import dev.lorikeet.plugin.Availability;
import dev.lorikeet.plugin.Options;
import dev.lorikeet.tensor.Tensor;

/** The same executor with a mistake of the usual kind, to see what a failing report looks like. */
public final class BrokenTwinProvider implements LoraExecutorProvider {
  @Override
  public String name() {
    return "broken-twin";
  }

  @Override
  public Availability availability() {
    return Availability.available("for the report's sake");
  }

  @Override
  public LoraExecutor open(ExecutorConfig config) {
    Options.none("LoRA executor plugin 'broken-twin'", config.options());
    return new BrokenTwin(config.workers());
  }

  /** Adds subnormal numbers as if they were zero, as a processor does in its fast mode. */
  private static final class BrokenTwin extends PlainExecutor {
    BrokenTwin(Workers workers) {
      super(workers);
    }

    @Override
    float shrink(LoraFactor a, int r, Tensor x, int token) {
      float sum = super.shrink(a, r, x, token);
      return Math.abs(sum) < Float.MIN_NORMAL ? 0 : sum;
    }
  }
}
