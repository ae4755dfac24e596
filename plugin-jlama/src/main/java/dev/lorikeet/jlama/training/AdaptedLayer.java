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
import dev.lorikeet.jlama.kernel.WeightMatrix;
import dev.lorikeet.jlama.kernel.WorkerTeam;
import dev.lorikeet.jlama.parts.RowNorms;
import dev.lorikeet.jlama.weights.LayerWeights;
import dev.lorikeet.shape.Projection;
import dev.lorikeet.shape.TargetModule;
import dev.lorikeet.tensor.Tensor;
import dev.lorikeet.training.stage.LearnedGradients;
import dev.lorikeet.training.stage.MicroBatch;
import java.util.List;
import java.util.Optional;
import java.util.function.Function;
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
  void forward(LayerForward phases, LoraBatch lora, Magnitudes magnitudes) {
    again(phases, lora, magnitudes, Optional.empty());
    down(phases, lora, magnitudes);
    team.run(phases, LayerForward.ADD, LayerForward.END);
  }

  private void down(LayerForward phases, LoraBatch lora, Magnitudes magnitudes) {
    team.run(phases, LayerForward.ACTIVATE, LayerForward.ADD);
    addDelta(down, phases, lora, magnitudes, phases.work().active, phases.work().block);
  }

  /**
   * Computes what the backward needs of the layer: all but the down-projection.
   *
   * @param outputs receives what the modules give, if anyone wants it
   */
  private void again(
      LayerForward phases, LoraBatch lora, Magnitudes magnitudes, Optional<ModuleOutputs> outputs) {
    StageWork work = phases.work();
    LayerActivations a = phases.a();
    int tokens = phases.batch().tokens();
    team.run(phases, LayerForward.NORM, LayerForward.ROTATE);
    addDelta(qkv, phases, lora, magnitudes, work.normed, a.rawQ(), a.rawK(), a.inputs().v());
    outputs.ifPresent(
        to -> {
          ModuleOutputs.copy(a.rawQ(), to.q(), tokens);
          ModuleOutputs.copy(a.rawK(), to.k(), tokens);
          ModuleOutputs.copy(a.inputs().v(), to.v(), tokens);
        });
    team.run(phases, LayerForward.ROTATE, LayerForward.MLP_NORM);
    addDelta(o, phases, lora, magnitudes, a.outputs().out(), work.block);
    outputs.ifPresent(to -> ModuleOutputs.copy(work.block, to.o(), tokens));
    team.run(phases, LayerForward.MLP_NORM, LayerForward.ACTIVATE);
    addDelta(gateUp, phases, lora, magnitudes, work.normed, a.gate(), a.up());
    outputs.ifPresent(
        to -> {
          ModuleOutputs.copy(a.gate(), to.gate(), tokens);
          ModuleOutputs.copy(a.up(), to.up(), tokens);
        });
  }

  /** Computes the layer once more, and keeps what its modules give. */
  private ModuleOutputs outputs(LayerForward phases, LoraBatch lora, Magnitudes magnitudes) {
    ModuleOutputs outputs = phases.work().outputs();
    again(phases, lora, magnitudes, Optional.of(outputs));
    down(phases, lora, magnitudes);
    ModuleOutputs.copy(phases.work().block, outputs.down(), phases.batch().tokens());
    return outputs;
  }

  private void addDelta(
      TargetGroup targets,
      LayerForward phases,
      LoraBatch lora,
      Magnitudes magnitudes,
      Rows x,
      Rows... y) {
    if (lora.entries() > 0) {
      executor.addDelta(targets, lora, seen(targets, phases, x).tensor(), tensors(y));
      for (int i = 0; i < y.length; i++) {
        magnitudes.scale(targets.targets().get(i), y[i], team);
      }
    }
  }

  /** Returns what adapters see of an input. */
  private Rows seen(TargetGroup targets, LayerForward phases, Rows x) {
    MicroBatch batch = phases.batch();
    return batch.drops()
        ? phases.work().dropped().of(x, targets.targets().getFirst(), batch, team)
        : x;
  }

  /** Takes the magnitudes that the adapters of a batch have for this layer. */
  void addTo(Magnitudes magnitudes, LoraBatch lora, RowNorms norms, StageWork work) {
    for (TargetGroup group : List.of(qkv, o, gateUp, down)) {
      for (TargetModule target : group.targets()) {
        magnitudes.add(lora, target, weight(target.projection()), norms, work, team);
      }
    }
  }

  /** Returns the frozen weight of a projection. */
  WeightMatrix weight(Projection projection) {
    return switch (projection) {
      case Q -> weights.q().weight();
      case K -> weights.k().weight();
      case V -> weights.v().weight();
      case O -> weights.o().weight();
      case GATE -> weights.gate().weight();
      case UP -> weights.up().weight();
      case DOWN -> weights.down().weight();
      default ->
          throw new IllegalArgumentException(projection + ": expected a projection of a layer");
    };
  }

  private static List<Tensor> tensors(Rows... rows) {
    return Stream.of(rows).map(Rows::tensor).toList();
  }

  /**
   * Computes the gradients of a layer. What it gave is computed once more where it was not kept, or
   * where there are magnitudes, whose gradients want what nobody keeps.
   *
   * @param isKept whether the activations are those of the layer's forward
   * @param d the gradient of the layer's output; becomes that of its input
   * @param wantsInput whether anyone needs the gradient of the input
   */
  void backward(
      LayerForward forward,
      boolean isKept,
      Rows d,
      boolean wantsInput,
      LoraBatch lora,
      Magnitudes magnitudes,
      LearnedGradients learned) {
    StageWork work = forward.work();
    LayerActivations a = forward.a();
    int tokens = forward.batch().tokens();
    Optional<ModuleOutputs> outputs = Optional.empty();
    if (!magnitudes.isEmpty()) {
      outputs = Optional.of(outputs(forward, lora, magnitudes));
    } else if (!isKept) {
      again(forward, lora, magnitudes, Optional.empty());
    }
    Scaling scaling = new Scaling(magnitudes, outputs, learned);
    boolean scalesDown = magnitudes.has(down.targets().getFirst());
    boolean scalesO = magnitudes.has(o.targets().getFirst());
    Rows dDown = scalesDown ? work.block : d;
    Rows dO = scalesO ? work.block : d;
    LayerBackward phases = new LayerBackward(forward, d, dDown, dO);

    team.run(phases, LayerBackward.ACTIVATE, LayerBackward.DOWN);
    if (scalesDown) {
      ModuleOutputs.copy(d, dDown, tokens);
      scaling.back(down, List.of(ModuleOutputs::down), dDown);
    }
    team.run(phases, LayerBackward.DOWN, LayerBackward.ACTIVATION);
    addGradients(down, forward, lora, learned, work.active, Optional.of(work.dActive), dDown);

    team.run(phases, LayerBackward.ACTIVATION, LayerBackward.GATE_UP);
    scaling.back(gateUp, List.of(ModuleOutputs::gate, ModuleOutputs::up), a.gate(), a.up());
    team.run(phases, LayerBackward.GATE_UP, LayerBackward.MLP_NORM);
    addGradients(
        gateUp, forward, lora, learned, work.normed, Optional.of(work.dNormed), a.gate(), a.up());

    team.run(phases, LayerBackward.MLP_NORM, LayerBackward.O);
    if (scalesO) {
      ModuleOutputs.copy(d, dO, tokens);
      scaling.back(o, List.of(ModuleOutputs::o), dO);
    }
    team.run(phases, LayerBackward.O, LayerBackward.ATTEND);
    addGradients(o, forward, lora, learned, a.outputs().out(), Optional.of(work.dAttention), dO);

    Rows dq = work.dInputs.q();
    Rows dk = work.dInputs.k();
    Rows dv = work.dInputs.v();
    team.run(phases, LayerBackward.ATTEND, LayerBackward.QKV);
    scaling.back(qkv, List.of(ModuleOutputs::q, ModuleOutputs::k, ModuleOutputs::v), dq, dk, dv);
    if (wantsInput) {
      team.run(phases, LayerBackward.QKV, LayerBackward.INPUT_NORM);
    }
    Optional<Rows> dx = wantsInput ? Optional.of(work.dNormed) : Optional.empty();
    addGradients(qkv, forward, lora, learned, work.normed, dx, dq, dk, dv);
    if (wantsInput) {
      team.run(phases, LayerBackward.INPUT_NORM, LayerBackward.END);
    }
  }

  /** The part of magnitudes in a backward, if there are any. */
  private final class Scaling {
    private final Magnitudes magnitudes;
    private final Optional<ModuleOutputs> outputs;
    private final LearnedGradients learned;

    Scaling(Magnitudes magnitudes, Optional<ModuleOutputs> outputs, LearnedGradients learned) {
      this.magnitudes = magnitudes;
      this.outputs = outputs;
      this.learned = learned;
    }

    void back(TargetGroup group, List<Function<ModuleOutputs, Rows>> of, Rows... dy) {
      outputs.ifPresent(
          found -> {
            for (int i = 0; i < dy.length; i++) {
              magnitudes.back(
                  group.targets().get(i),
                  of.get(i).apply(found),
                  dy[i],
                  learned.magnitudes(),
                  team);
            }
          });
    }
  }

  private void addGradients(
      TargetGroup targets,
      LayerForward forward,
      LoraBatch lora,
      LearnedGradients learned,
      Rows x,
      Optional<Rows> dx,
      Rows... dy) {
    if (lora.entries() == 0) {
      return;
    }
    MicroBatch batch = forward.batch();
    Optional<DroppedInput> dropped =
        batch.drops() ? Optional.of(forward.work().dropped()) : Optional.empty();
    Optional<Rows> dSeen =
        dropped.isEmpty() ? dx : dx.map(rows -> dropped.get().gradient(rows, batch));
    gradients.addGradients(
        targets,
        lora,
        seen(targets, forward, x).tensor(),
        tensors(dy),
        new GradientSums(dSeen.map(Rows::tensor), learned.factors(), learned.weights()));
    if (dropped.isPresent() && dx.isPresent()) {
      dropped.get().add(dSeen.orElseThrow(), dx.get(), targets.targets().getFirst(), batch, team);
    }
  }
}
