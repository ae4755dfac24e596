package dev.lorikeet.training.learning;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.adapter.AdapterLease;
import dev.lorikeet.adapter.AdapterSpec;
import dev.lorikeet.adapter.LoraWeights;
import dev.lorikeet.adapter.TargetSpec;
import dev.lorikeet.executor.FactorGradients;
import dev.lorikeet.executor.Workers;
import dev.lorikeet.files.Faults;
import dev.lorikeet.files.adapter.AdapterFile;
import dev.lorikeet.files.adapter.FiniteCheck;
import dev.lorikeet.files.adapter.WeightSink;
import dev.lorikeet.files.peft.PeftAdapterFile;
import dev.lorikeet.files.peft.PeftPlans;
import dev.lorikeet.shape.ModelShape;
import dev.lorikeet.shape.TargetModule;
import dev.lorikeet.tensor.ElementType;
import dev.lorikeet.tensor.Tensor;
import dev.lorikeet.training.optimizer.FactorMemory;
import dev.lorikeet.training.optimizer.Optimizer;
import dev.lorikeet.training.optimizer.Strips;
import dev.lorikeet.training.stage.LearnedGradients;
import dev.lorikeet.training.task.LoraMethod;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SplittableRandom;
import java.util.function.Function;

/**
 * An adapter whose weights change between steps. A lease that is its own owner: open until the task
 * ends. Used by the trainer's thread.
 */
public final class LearningAdapter implements AdapterLease {
  private final Arena arena = Arena.ofShared();
  private final AdapterSpec spec;
  private final List<LearningModule> modules = new ArrayList<>();
  private final Map<TargetModule, LearningModule> byTarget = new HashMap<>();

  private LearningAdapter(String name, List<TargetSpec> targets, int slots) {
    this.spec = AdapterSpec.of(name, 1, targets);
    for (TargetSpec target : targets) {
      LearningModule module = new LearningModule(target, slots, arena);
      modules.add(module);
      byTarget.put(target.target(), module);
    }
  }

  /** Returns an adapter of zeros: a part of another, which is then copied to it. */
  public static LearningAdapter zeros(String name, List<TargetSpec> targets, int slots) {
    return new LearningAdapter(name, targets, slots);
  }

  /**
   * Returns an adapter that begins as PEFT's do: A uniform within the inverse root of its width, B
   * zero.
   *
   * @param slots of the optimizer's state
   * @param rowNorms what magnitudes begin with
   * @throws IllegalArgumentException if the blocks divide a rank or a width not
   */
  public static LearningAdapter begin(
      String name,
      LoraMethod method,
      ModelShape shape,
      int slots,
      long seed,
      Function<TargetModule, float[]> rowNorms) {
    LearningAdapter adapter = new LearningAdapter(name, method.targets(shape), slots);
    SplittableRandom seeds = new SplittableRandom(seed);
    for (LearningModule module : adapter.modules) {
      SplittableRandom random = seeds.split();
      FactorMemory a = module.a();
      double bound = 1 / Math.sqrt(a.columns());
      for (long i = 0; i < a.count(); i++) {
        float value = (float) ((2 * random.nextDouble() - 1) * bound);
        a.values().setAtIndex(ValueLayout.JAVA_FLOAT, i, value);
      }
      module
          .magnitude()
          .ifPresent(
              magnitude ->
                  magnitude
                      .values()
                      .copyFrom(MemorySegment.ofArray(rowNorms.apply(module.spec().target()))));
    }
    adapter.publish();
    return adapter;
  }

  /**
   * Returns an adapter that goes on from a PEFT directory.
   *
   * @throws LorikeetException if it can't be read, or does not fit the model
   */
  public static LearningAdapter read(String name, Path directory, ModelShape shape, int slots)
      throws IOException {
    try (AdapterFile file = PeftAdapterFile.open(directory, PeftPlans.strict(Optional.of(shape)))) {
      if (!(file instanceof PeftAdapterFile peft && peft.isPeft())
          || !file.parts().isEmpty()
          || !file.targets().stream().allMatch(t -> t.target().isPlain())) {
        throw Faults.ADAPTER.refuseUnsupported(
            directory,
            "fine-tuning goes on from PEFT's adapters of linear layers of decoder blocks alone; this"
                + " one is another or changes more");
      }
      List<TargetSpec> targets = file.targets().stream().map(LearningAdapter::inFloats).toList();
      LearningAdapter adapter = new LearningAdapter(name, targets, slots);
      try {
        FiniteCheck finite = new FiniteCheck(file.path());
        file.read(
            (target, stored, factor, firstLine, lines, data) -> {
              finite.accept(target, stored, factor, firstLine, lines, data);
              adapter.take(target, stored, factor, firstLine, data);
            });
        adapter.publish();
        return adapter;
      } catch (IOException | RuntimeException | Error e) {
        adapter.close();
        throw e;
      }
    }
  }

  private static TargetSpec inFloats(TargetSpec t) {
    return t.toBuilder().type(ElementType.F32).build();
  }

  private void take(
      int target, TargetSpec stored, WeightSink.Factor factor, int firstLine, MemorySegment data) {
    LearningModule module = modules.get(target);
    FactorMemory to =
        switch (factor) {
          case A -> module.a();
          case B_BY_OUTPUT -> module.b();
          case MAGNITUDE -> module.magnitude().orElseThrow();
          case A_BY_INPUT, B_BY_ROW ->
              throw new IllegalStateException("factors of a PEFT file the other way round");
        };
    boolean isMagnitude = factor == WeightSink.Factor.MAGNITUDE;
    ElementType type = isMagnitude ? ElementType.F32 : stored.type();
    long at = (long) firstLine * to.columns();
    long count = data.byteSize() / type.bytes();
    for (long i = 0; i < count; i++) {
      to.values().setAtIndex(ValueLayout.JAVA_FLOAT, at + i, type.read(data, i * type.bytes()));
    }
  }

  @Override
  public AdapterSpec spec() {
    return spec;
  }

  @Override
  public Optional<LoraWeights> weights(TargetModule target) {
    if (!arena.scope().isAlive()) {
      throw new IllegalStateException("adapter '" + spec.id() + "': its task has ended");
    }
    return Optional.ofNullable(byTarget.get(target)).map(LearningModule::weights);
  }

  /** Returns where a backward adds the gradients of adapters such as this. */
  public static LearnedGradients gradients() {
    return LearnedGradients.of((lease, target) -> ((LearningAdapter) lease).sums(target))
        .withMagnitudes((lease, target) -> ((LearningAdapter) lease).magnitudeSums(target));
  }

  /** Returns where the gradients of a module go. */
  private Optional<FactorGradients.Sums> sums(TargetModule target) {
    return Optional.ofNullable(byTarget.get(target)).map(LearningModule::sums);
  }

  /** Returns where the gradient of a module's magnitude goes. */
  private Optional<Tensor> magnitudeSums(TargetModule target) {
    return Optional.ofNullable(byTarget.get(target)).flatMap(LearningModule::magnitudeSums);
  }

  /** Returns the modules, in the order of the targets. */
  public List<LearningModule> modules() {
    return modules;
  }

  /** Lets executors see the weights as they are now. */
  public void publish() {
    modules.forEach(LearningModule::publish);
  }

  /** Returns for each module the sum of the squares of its gradients, whoever squares them. */
  public double[] squares(Workers workers) {
    double[] squares = new double[modules.size()];
    workers.run(
        (shard, shards) -> {
          for (int m = shard; m < squares.length; m += shards) {
            squares[m] =
                modules.get(m).factors().stream()
                    .mapToDouble(FactorMemory::squares)
                    .reduce(0, Double::sum);
          }
        });
    return squares;
  }

  /** Returns the norm of all gradients together, added up in the order of the modules. */
  public static double norm(double[] squares) {
    return Math.sqrt(Arrays.stream(squares).reduce(0, Double::sum));
  }

  /**
   * Changes the weights by their gradients, lets executors see them, and sets the gradients to
   * zero.
   */
  public void step(Workers workers, Optimizer optimizer, Learner.Step step) {
    if (optimizer.changesPairs()) {
      stepPairs(workers, optimizer, step);
      return;
    }
    workers.run(
        (shard, shards) -> {
          Strips strips = new Strips();
          for (int m = shard; m < modules.size(); m += shards) {
            LearningModule module = modules.get(m);
            // LoRA+ has two rates, one of A, which comes first, and one of all else.
            double rate = step.rateA();
            for (FactorMemory factor : module.factors()) {
              optimizer.step(factor, rate, step.scale(), step.number(), strips);
              rate = step.rateB();
            }
            module.publish();
            module.clearGradients();
          }
        });
  }

  private void stepPairs(Workers workers, Optimizer optimizer, Learner.Step step) {
    double[] squares = new double[modules.size()];
    workers.run(
        (shard, shards) -> {
          for (int m = shard; m < squares.length; m += shards) {
            LearningModule module = modules.get(m);
            squares[m] = optimizer.squares(module.a(), module.b(), step.scale());
          }
        });
    Optimizer.PairStep pairs =
        new Optimizer.PairStep(
            step.rateA(), step.rateB(), step.scale(), norm(squares), step.number());
    workers.run(
        (shard, shards) -> {
          for (int m = shard; m < modules.size(); m += shards) {
            LearningModule module = modules.get(m);
            optimizer.step(module.a(), module.b(), pairs);
            module.publish();
            module.clearGradients();
          }
        });
  }

  @Override
  public void close() {
    if (arena.scope().isAlive()) {
      arena.close();
    }
  }
}
