package dev.lorikeet.training.task;

import dev.lorikeet.routing.RunningContext;
import java.util.List;
import java.util.Map;

/** Makes a mixture of a task's settings. */
final class MixtureReader {
  static final List<String> KEYS =
      List.of(
          "experts", "top_k", "load_balancing", "gate_learning_rate", "gate_context", "gate_decay");

  private static final double GATE_DECAY = 0.9;

  private MixtureReader() {}

  static Mixture read(Settings settings) {
    Mixture otherwise = Mixture.DEFAULT;
    int experts = settings.integer(2, Mixture.MOST, "experts").orElse(otherwise.experts());
    boolean mean =
        settings
            .choice(
                "context",
                Map.of("none", Boolean.FALSE, "mean-embedding", Boolean.TRUE),
                "gate_context")
            .orElse(false);
    if (!mean) {
      settings.unused("the gate sees no mean of embeddings", List.of("gate_decay"));
    }
    double decay = settings.atLeast(0, "gate_decay").orElse(GATE_DECAY);
    Ranges.below("gate_decay", decay, 1);
    return new Mixture(
        experts,
        settings.integer(2, experts, "top_k").orElse(otherwise.topK()),
        settings.atLeast(0, "load_balancing").orElse(otherwise.loadBalancing()),
        settings.above(0, "gate_learning_rate"),
        mean
            ? new RunningContext.MeanEmbedding(Math.min((float) decay, Math.nextDown(1f)))
            : otherwise.context());
  }
}
