package com.example.executor;

import dev.lorikeet.executor.ExecutorConfig;
import dev.lorikeet.executor.LoraExecutor;
import dev.lorikeet.executor.LoraExecutorProvider;
import dev.lorikeet.plugin.Availability;
import dev.lorikeet.plugin.Options;

/** How Lorikeet finds {@link PlainExecutor}: listed in {@code META-INF/services}. */
public final class PlainExecutorProvider implements LoraExecutorProvider {
  @Override
  public String name() {
    return "plain-java";
  }

  @Override
  public Availability availability() {
    return Availability.available("plain loops, runs everywhere");
  }

  @Override
  public LoraExecutor open(ExecutorConfig config) {
    Options.none("LoRA executor plugin 'plain-java'", config.options());
    return new PlainExecutor(config.workers());
  }
}
