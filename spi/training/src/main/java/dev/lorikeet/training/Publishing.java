package dev.lorikeet.training;

import dev.lorikeet.Lorikeet;
import dev.lorikeet.training.task.TaskSpec;
import dev.lorikeet.training.trainer.StepReport;
import dev.lorikeet.training.trainer.TrainingObserver;
import java.nio.file.Path;

/**
 * Registers what a task publishes under its name, experts under theirs, and tells another observer
 * everything.
 */
record Publishing(Lorikeet served, TaskSpec spec, TrainingObserver next)
    implements TrainingObserver {
  @Override
  public void stepped(StepReport report) {
    next.stepped(report);
  }

  @Override
  public void saved(int step, Path directory) {
    next.saved(step, directory);
  }

  @Override
  public void published(int step, Path adapter) {
    for (String name : spec.adapters()) {
      served.register(name, spec.mixture().isPresent() ? adapter.resolve(name) : adapter);
    }
    next.published(step, adapter);
  }
}
