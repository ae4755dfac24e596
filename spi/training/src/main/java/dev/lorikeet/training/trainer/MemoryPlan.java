package dev.lorikeet.training.trainer;

import dev.lorikeet.adapter.TargetSpec;
import dev.lorikeet.training.learning.LearningGate;
import dev.lorikeet.training.optimizer.Optimizer;
import dev.lorikeet.training.stage.Retention;
import dev.lorikeet.training.stage.TrainableModel;
import dev.lorikeet.training.task.TaskSpec;
import java.util.List;

/**
 * What memory a run takes, in bytes, before it begins.
 *
 * @param base the weights of the base model, mapped or in memory
 * @param adapters the weights of all tasks, B once more for executors, the best so far where they
 *     are kept, and gates with what they learn by
 * @param gradients of all tasks
 * @param optimizers what they remember
 * @param activations of a micro-batch of the largest size, and scratch memory
 */
public record MemoryPlan(
    long base, long adapters, long gradients, long optimizers, long activations) {
  /**
   * Returns the plan of a run. Tasks that go on from an adapter are counted as their method would
   * be.
   */
  public static MemoryPlan of(TrainableModel model, Retention retention, List<TaskSpec> tasks) {
    long adapters = 0;
    long gradients = 0;
    long optimizers = 0;
    for (TaskSpec task : tasks) {
      int slots = Optimizer.of(task.optimizer()).slots();
      long count = task.adapters().size();
      for (TargetSpec target : task.method().targets(model.info().shape())) {
        adapters += count * (target.bytes() + (long) target.rank() * target.bRowBytes());
        adapters += task.keepBest() ? count * target.bytes() : 0;
        gradients += count * target.bytes();
        optimizers += count * target.bytes() * slots;
      }
      if (task.mixture().isPresent()) {
        adapters +=
            LearningGate.bytes(task.mixture().get(), model.info().shape(), task.optimizer());
      }
    }
    long activations =
        model.stage().workBytes() + model.stage().passBytes(model.stage().maxTokens(), retention);
    return new MemoryPlan(model.weightBytes(), adapters, gradients, optimizers, activations);
  }

  /** Returns the sum. */
  public long total() {
    return base + adapters + gradients + optimizers + activations;
  }
}
