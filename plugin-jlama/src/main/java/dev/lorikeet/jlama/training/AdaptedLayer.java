package dev.lorikeet.jlama.training;

import static dev.lorikeet.shape.Projection.DOWN;
import static dev.lorikeet.shape.Projection.GATE;
import static dev.lorikeet.shape.Projection.K;
import static dev.lorikeet.shape.Projection.O;
import static dev.lorikeet.shape.Projection.Q;
import static dev.lorikeet.shape.Projection.UP;
import static dev.lorikeet.shape.Projection.V;

import dev.lorikeet.executor.GradientSums;
import dev.lorikeet.executor.LoraBatch;
import dev.lorikeet.executor.LoraExecutor;
import dev.lorikeet.executor.LoraGradients;
import dev.lorikeet.executor.TargetGroup;
import dev.lorikeet.jlama.kernel.Rows;
import dev.lorikeet.jlama.kernel.WorkerTeam;
import dev.lorikeet.jlama.weights.LayerWeights;
import dev.lorikeet.tensor.Tensor;
import dev.lorikeet.training.stage.LearnedGradients;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;

/** A layer of a stage with its adapters: phases of the team and calls of the executor in turns. */
final class AdaptedLayer {
  private final LayerWeights weights;
  private final WorkerTeam team;
  private final LoraExecutor executor;
  private final LoraGradients gradients;
  private final TargetGroup qkv;
  private final TargetGroup o;
  private final TargetGroup gateUp;
  private final TargetGroup down;

  AdaptedLayer(
      int layer,
      LayerWeights weights,
      WorkerTeam team,
      LoraExecutor executor,
      LoraGradients gradients) {
    this.weights = weights;
    this.team = team;
    this.executor = executor;
    this.gradients = gradients;
    this.qkv = TargetGroup.of(layer, Q, K, V);
    this.o = TargetGroup.of(layer, O);
    this.gateUp = TargetGroup.of(layer, GATE, UP);
    this.down = TargetGroup.of(layer, DOWN);
  }

  LayerWeights weights() {
    return weights;
  }

  /** Returns whether an adapter of a batch changes this layer. */
  boolean isChangedBy(LoraBatch lora) {
    for (int s = 0; s < lora.segments(); s++) {
      int segment = s;
      if (Stream.of(qkv, o, gateUp, down)
          .flatMap(group -> group.targets().stream())
          .anyMatch(target -> lora.adapter(segment).weights(target).isPresent())) {
        return true;
      }
    }
    return false;
  }

  /** Computes the layer. */
  void forward(LayerForward phases, LoraBatch lora) {
    again(phases, lora);
    team.run(phases, LayerForward.ACTIVATE, LayerForward.ADD);
    addDelta(down, lora, phases.work().active, phases.work().block);
    team.run(phases, LayerForward.ADD, LayerForward.END);
  }

  /** Computes what the backward needs of the layer: all but the down-projection. */
  void again(LayerForward phases, LoraBatch lora) {
    StageWork work = phases.work();
    LayerActivations a = phases.a();
    team.run(phases, LayerForward.NORM, LayerForward.ROTATE);
    addDelta(qkv, lora, work.normed, a.rawQ(), a.rawK(), a.inputs().v());
    team.run(phases, LayerForward.ROTATE, LayerForward.MLP_NORM);
    addDelta(o, lora, a.outputs().out(), work.block);
    team.run(phases, LayerForward.MLP_NORM, LayerForward.ACTIVATE);
    addDelta(gateUp, lora, work.normed, a.gate(), a.up());
  }

  private void addDelta(TargetGroup targets, LoraBatch lora, Rows x, Rows... y) {
    if (lora.entries() > 0) {
      executor.addDelta(targets, lora, x.tensor(), tensors(y));
    }
  }

  private static List<Tensor> tensors(Rows... rows) {
    return Stream.of(rows).map(Rows::tensor).toList();
  }

  /**
   * Computes the gradients of a layer that {@link #forward} or {@link #again} computed last into
   * its activations.
   *
   * @param d the gradient of the layer's output; becomes that of its input
   * @param wantsInput whether anyone needs the gradient of the input
   */
  void backward(
      LayerForward forward, Rows d, boolean wantsInput, LoraBatch lora, LearnedGradients learned) {
    StageWork work = forward.work();
    LayerActivations a = forward.a();
    LayerBackward phases = new LayerBackward(forward, d);
    team.run(phases, LayerBackward.ACTIVATE, LayerBackward.ACTIVATION);
    addGradients(down, lora, learned, work.active, Optional.of(work.dActive), d);
    team.run(phases, LayerBackward.ACTIVATION, LayerBackward.MLP_NORM);
    addGradients(gateUp, lora, learned, work.normed, Optional.of(work.dNormed), a.gate(), a.up());
    team.run(phases, LayerBackward.MLP_NORM, LayerBackward.ATTEND);
    addGradients(o, lora, learned, a.outputs().out(), Optional.of(work.dAttention), d);
    team.run(
        phases, LayerBackward.ATTEND, wantsInput ? LayerBackward.INPUT_NORM : LayerBackward.QKV);
    addGradients(
        qkv,
        lora,
        learned,
        work.normed,
        wantsInput ? Optional.of(work.dNormed) : Optional.empty(),
        work.dInputs.q(),
        work.dInputs.k(),
        work.dInputs.v());
    if (wantsInput) {
      team.run(phases, LayerBackward.INPUT_NORM, LayerBackward.END);
    }
  }

  private void addGradients(
      TargetGroup targets,
      LoraBatch lora,
      LearnedGradients learned,
      Rows x,
      Optional<Rows> dx,
      Rows... dy) {
    if (lora.entries() > 0) {
      gradients.addGradients(
          targets,
          lora,
          x.tensor(),
          tensors(dy),
          new GradientSums(dx.map(Rows::tensor), learned.factors(), learned.weights()));
    }
  }
}
