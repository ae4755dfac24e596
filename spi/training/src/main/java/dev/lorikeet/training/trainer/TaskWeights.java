package dev.lorikeet.training.trainer;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.shape.ModelShape;
import dev.lorikeet.training.learning.Learner;
import dev.lorikeet.training.learning.LearningAdapter;
import dev.lorikeet.training.learning.LearningGate;
import dev.lorikeet.training.learning.LearningModule;
import dev.lorikeet.training.optimizer.FactorMemory;
import dev.lorikeet.training.optimizer.Optimizer;
import dev.lorikeet.training.task.Mixture;
import dev.lorikeet.training.task.TaskSpec;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.SplittableRandom;
import java.util.function.BiConsumer;

/**
 * What a task learns: an adapter, or several and the gate that mixes them.
 *
 * @param adapters at least one
 * @param gate where there are several
 */
record TaskWeights(List<LearningAdapter> adapters, Optional<LearningGate> gate)
    implements AutoCloseable {
  /** Returns what a task begins with. */
  static TaskWeights begin(TaskSpec spec, ModelShape shape, Learner learner) throws IOException {
    int slots = Optimizer.of(spec.optimizer()).slots();
    if (spec.start().isPresent()) {
      return of(LearningAdapter.read(spec.name(), spec.start().get(), shape, slots));
    }
    if (spec.mixture().isEmpty()) {
      return of(
          LearningAdapter.begin(
              spec.name(), spec.method(), shape, slots, spec.seed(), learner::rowNorms));
    }
    Mixture mixture = spec.mixture().get();
    Learner.Embeddings embeddings =
        learner
            .embeddings()
            .orElseThrow(
                () ->
                    new LorikeetException(
                        Code.INVALID_CONFIG,
                        "task '"
                            + spec.name()
                            + "': method: expected another than mixture over a pipeline of stages,"
                            + " found mixture"));
    SplittableRandom seeds = new SplittableRandom(spec.seed());
    List<LearningAdapter> adapters = new ArrayList<>();
    try {
      for (String name : spec.adapters()) {
        adapters.add(
            LearningAdapter.begin(
                name, spec.method(), shape, slots, seeds.nextLong(), learner::rowNorms));
      }
      return new TaskWeights(
          List.copyOf(adapters),
          Optional.of(
              new LearningGate(mixture, shape, spec.optimizer(), seeds.nextLong(), embeddings)));
    } catch (RuntimeException | Error e) {
      adapters.forEach(LearningAdapter::close);
      throw e;
    }
  }

  private static TaskWeights of(LearningAdapter adapter) {
    return new TaskWeights(List.of(adapter), Optional.empty());
  }

  /** Gives all that learns by its name, in an order that is always the same. */
  void each(BiConsumer<String, FactorMemory> action) {
    for (LearningAdapter adapter : adapters) {
      String prefix = gate.isPresent() ? adapter.spec().id() + "." : "";
      for (LearningModule module : adapter.modules()) {
        String name = prefix + module.spec().target().moduleName();
        action.accept(name + ".lora_A", module.a());
        action.accept(name + ".lora_B", module.b());
        module.magnitude().ifPresent(m -> action.accept(name + ".lora_magnitude_vector", m));
      }
    }
    gate.ifPresent(
        g -> {
          action.accept("gate.weight", g.weight());
          action.accept("gate.bias", g.bias());
        });
  }

  /** Lets executors see the weights as they are now. */
  void publish() {
    adapters.forEach(LearningAdapter::publish);
  }

  @Override
  public void close() {
    adapters.forEach(LearningAdapter::close);
    gate.ifPresent(LearningGate::close);
  }
}
