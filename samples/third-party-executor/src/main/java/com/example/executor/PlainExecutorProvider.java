package com.example.executor;

import dev.lorikeet.executor.ExecutorConfig;
import dev.lorikeet.executor.LoraExecutor;
import dev.lorikeet.executor.LoraExecutorProvider;
import dev.lorikeet.plugin.Availability;

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
    if (!config.options().isEmpty()) {
      throw new IllegalArgumentException(
          "plain-java: expected no options, found " + config.options().keySet());
    }
    return new PlainExecutor(config.workers());
  }
}
