package dev.lorikeet.training.task;

import java.util.List;
import java.util.Map;

/** Makes an objective of a task's settings. */
final class ObjectiveReader {
  private static final double BETA = 0.1;

  private final Settings settings;

  ObjectiveReader(Settings settings) {
    this.settings = settings;
  }

  Objective read() {
    double beta = settings.above(0, "beta").orElse(BETA);
    double weight = settings.atLeast(0, "cpo_alpha").orElse(1);
    Objective.Contrastive otherwise = Objective.Contrastive.DEFAULT;
    Objective.Contrastive contrastive =
        new Objective.Contrastive(
            settings.above(0, "temperature").orElse(otherwise.temperature()),
            settings.atLeast(0, "contrastive_weight").orElse(otherwise.weight()));
    Objective objective =
        settings
            .choice(
                "objective",
                Map.of(
                    "next-token", new Objective.NextToken(),
                    "dpo", new Objective.Dpo(beta),
                    "cpo", new Objective.Cpo(beta, weight),
                    "cit", contrastive),
                "objective",
                "loss_type")
            .orElse(new Objective.NextToken());
    if (objective.examples() != Objective.Examples.PREFERENCES) {
      boolean texts = objective.examples() == Objective.Examples.TEXTS;
      settings.unused("the objective is " + (texts ? "next-token" : "cit"), List.of("beta"));
    }
    if (!(objective instanceof Objective.Contrastive)) {
      settings.unused("the objective is not cit", List.of("temperature", "contrastive_weight"));
    }
    if (!(objective instanceof Objective.Cpo)) {
      settings.unused("the objective is not cpo", List.of("cpo_alpha"));
    }
    return objective;
  }
}
