package dev.lorikeet.training.pipeline;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.adapter.TargetSpec;
import dev.lorikeet.cluster.Packer;
import dev.lorikeet.cluster.Unpacker;
import dev.lorikeet.shape.Projection;
import dev.lorikeet.shape.TargetModule;
import dev.lorikeet.training.learning.LearningModule;
import dev.lorikeet.training.optimizer.FactorMemory;
import dev.lorikeet.training.stage.Dropout;
import dev.lorikeet.training.stage.MicroBatch;
import dev.lorikeet.training.task.OptimizerSpec;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;

/** How tasks and their micro-batches travel: where they learn, how, and the state of a module. */
final class TaskState {
  private static final int ADAM_W = 0;
  private static final int SGD = 1;

  private TaskState() {}

  static void pack(OptimizerSpec optimizer, Packer to) {
    switch (optimizer) {
      case OptimizerSpec.AdamW(double beta1, double beta2, double epsilon, double decay) ->
          to.put(ADAM_W).put(beta1).put(beta2).put(epsilon).put(decay);
      case OptimizerSpec.Sgd(double decay) -> to.put(SGD).put(decay);
      case OptimizerSpec.LoraRite rite ->
          throw new LorikeetException(
              Code.INVALID_CONFIG,
              "optimizer: expected adamw or sgd over several stages, found lora-rite, which needs"
                  + " the norm of all modules' own gradients");
    }
  }

  static OptimizerSpec optimizer(Unpacker from) {
    int kind = from.getInt();
    return switch (kind) {
      case ADAM_W ->
          new OptimizerSpec.AdamW(
              from.getDouble(), from.getDouble(), from.getDouble(), from.getDouble());
      case SGD -> new OptimizerSpec.Sgd(from.getDouble());
      default -> throw new IllegalArgumentException("optimizer: expected a kind, found " + kind);
    };
  }

  static void pack(TargetSpec target, Packer to) {
    to.put(target.target().layer());
    to.put(target.target().projection().name());
    to.put(target.rank()).put(target.inFeatures()).put(target.outFeatures());
    to.put(target.scaling()).put(target.aBlocks()).put(target.bBlocks());
    to.put(target.magnitude() ? 1 : 0);
  }

  static TargetSpec target(Unpacker from) {
    return TargetSpec.builder(TargetModule.of(from.getInt(), Projection.valueOf(from.getText())))
        .rank(from.getInt())
        .inFeatures(from.getInt())
        .outFeatures(from.getInt())
        .scaling(from.getFloat())
        .aBlocks(from.getInt())
        .bBlocks(from.getInt())
        .magnitude(from.getInt() != 0)
        .build();
  }

  static void pack(MicroBatch batch, Packer to) {
    to.put(batch.copyTokens()).put(batch.copyLabels());
    to.put(batch.copyStarts()).put(batch.copyTasks());
    int dropouts = batch.drops() ? batch.sequences() : 0;
    to.put(dropouts);
    for (int s = 0; s < dropouts; s++) {
      to.put(batch.dropout(s).probability()).put(batch.dropout(s).key());
    }
    to.put(batch.copyShown());
  }

  static MicroBatch microBatch(Unpacker from) {
    MicroBatch batch =
        new MicroBatch(from.getInts(), from.getInts(), from.getInts(), from.getInts());
    List<Dropout> dropouts = new ArrayList<>();
    for (int left = from.getInt(); left > 0; left--) {
      dropouts.add(new Dropout(from.getFloat(), from.getLong()));
    }
    MicroBatch shown = batch.withShown(from.getInts());
    return dropouts.isEmpty() ? shown : shown.withDropouts(dropouts);
  }

  /** Returns the state of a module behind a head, where it lies. */
  static MemorySegment[] parts(Packer head, LearningModule module) {
    List<MemorySegment> parts = new ArrayList<>(List.of(head.segment()));
    for (FactorMemory factor : module.factors()) {
      parts.add(factor.values());
      parts.add(factor.state());
    }
    return parts.toArray(MemorySegment[]::new);
  }

  /** Takes the state of a module. */
  static void take(Unpacker from, LearningModule module) {
    for (FactorMemory factor : module.factors()) {
      factor.values().copyFrom(from.take(factor.values().byteSize()));
      factor.state().copyFrom(from.take(factor.state().byteSize()));
    }
  }
}
