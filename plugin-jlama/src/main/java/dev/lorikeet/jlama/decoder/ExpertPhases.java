package dev.lorikeet.jlama.decoder;

import dev.lorikeet.executor.LoraBatch;
import dev.lorikeet.executor.TargetGroup;
import dev.lorikeet.files.model.Experts;
import dev.lorikeet.files.model.Mlp;
import dev.lorikeet.jlama.kernel.ActivationPanel;
import dev.lorikeet.jlama.kernel.Elementwise;
import dev.lorikeet.jlama.kernel.ExpertGroups;
import dev.lorikeet.jlama.kernel.Kernels;
import dev.lorikeet.jlama.kernel.MatMul;
import dev.lorikeet.jlama.kernel.Parts;
import dev.lorikeet.jlama.kernel.Rows;
import dev.lorikeet.jlama.kernel.Shard;
import dev.lorikeet.jlama.kernel.WorkerTeam;
import dev.lorikeet.jlama.weights.ExpertWeights;
import dev.lorikeet.jlama.weights.ExpertWeights.Expert;
import dev.lorikeet.shape.Projection;
import dev.lorikeet.tensor.Tensor;
import java.lang.foreign.Arena;
import java.util.List;

/** The experts of a layer as the phases of a worker team. Used by the decoding thread. */
final class ExpertPhases implements WorkerTeam.Phases {
  /*
   * Idea. The router's product and the choice are phases of the layer; then the decoding thread groups the tokens of
   * the step by their experts, and each expert that has any is a run of four phases: its tokens are packed, multiplied
   * by gate and up, activated and packed, multiplied by down. What came out is added up token by token at the end, in
   * ascending order of the experts. So an expert's weights are read once for all its tokens, those of experts that
   * nobody chose not at all, and a token's bits do not depend on others.
   *
   * Layout. Rows of gate, up and outputs are entries of the groups, one for each token and expert of it; an expert's
   * are adjacent.
   *
   * Cost for each layer: the chosen experts' bytes once, four barriers for each, a view of rows or two of garbage.
   */
  private static final int PACK = 0;
  private static final int GATE_UP = 1;
  private static final int ACTIVATE = 2;
  private static final int DOWN = 3;
  private static final int PER_EXPERT = 4;

  private final ExpertGroups groups;
  private final Rows routing;
  private final Rows outputs;
  private final Activations a;
  private final ActivationPanel panel;
  private final Mlp mlp;
  private final Parts parts;
  private final int[] active;
  private final MatMul matMul = Kernels.get().matMul();
  private final Elementwise elementwise = Kernels.get().elementwise();

  // For experts that adapters change: a batch of one expert's tokens, and their inputs in that
  // order.
  private final LoraBatch lora = new LoraBatch();
  private final Rows gathered;
  private final Tensor routerInput;
  private final List<Tensor> routerOutput;

  // The layer under way; set between runs.
  private int tokens;
  private int chosen;
  private List<Expert> weights = List.of();

  /**
   * Allocates room.
   *
   * @param a receives in {@code block} what the experts make of {@code normed}
   * @param panel for the products
   * @param maxTokens the most tokens of a step
   */
  ExpertPhases(
      Arena arena,
      Experts experts,
      Mlp mlp,
      Activations a,
      ActivationPanel panel,
      int maxTokens,
      int workers) {
    this.groups =
        new ExpertGroups(maxTokens, experts.count(), experts.perToken(), experts.renormalized());
    this.routing = Rows.allocate(arena, maxTokens, experts.count());
    this.outputs = Rows.allocate(arena, maxTokens * experts.perToken(), a.block().columns());
    this.a = a;
    this.panel = panel;
    this.mlp = mlp;
    this.parts = new Parts(workers);
    this.active = new int[experts.count()];
    this.gathered = Rows.allocate(arena, maxTokens, a.normed().columns());
    this.routerInput = a.normed().tensor();
    this.routerOutput = List.of(routing.tensor());
  }

  /** Adds what adapters change in the router's product. */
  void addRouterDelta(AdaptedLayers layers, int layer, LoraBatch batch) {
    TargetGroup router = TargetGroup.of(layer, Projection.ROUTER);
    layers.addDelta(router, batch, routerInput, routerOutput);
  }

  /**
   * Computes the experts that were chosen, with the deltas of adapters: each expert is then two
   * runs, each followed by the executor's call for the tokens of that expert.
   */
  void run(
      WorkerTeam team,
      ExpertWeights weightsOfLayer,
      int count,
      AdaptedLayers layers,
      int layer,
      LoraBatch batch) {
    begin(weightsOfLayer, count);
    for (int i = 0; i < chosen; i++) {
      int expert = active[i];
      int first = groups.first(expert);
      int size = groups.end(expert) - first;
      fill(batch, first, size);
      team.run(this, i * PER_EXPERT, i * PER_EXPERT + ACTIVATE);
      if (lora.entries() > 0) {
        for (int e = 0; e < size; e++) {
          a.normed().copyRow(groups.token(first + e), gathered, e);
        }
        layers.addDelta(
            TargetGroup.ofExpert(layer, expert, Projection.GATE, Projection.UP),
            lora,
            gathered.first(size).tensor(),
            List.of(a.gate().part(first, size).tensor(), a.up().part(first, size).tensor()));
      }
      team.run(this, i * PER_EXPERT + ACTIVATE, (i + 1) * PER_EXPERT);
      if (lora.entries() > 0) {
        layers.addDelta(
            TargetGroup.ofExpert(layer, expert, Projection.DOWN),
            lora,
            a.gate().part(first, size).tensor(),
            List.of(outputs.part(first, size).tensor()));
      }
    }
    team.run(this, chosen * PER_EXPERT, chosen * PER_EXPERT + 1);
  }

  /** Fills the batch of an expert: its tokens by their place among its entries. */
  private void fill(LoraBatch batch, int first, int size) {
    lora.reset(size);
    for (int s = 0; s < batch.segments(); s++) {
      lora.beginSegment(batch.adapter(s));
      int entry = 0;
      for (int e = batch.segmentStart(s); e < batch.segmentEnd(s) && entry < size; e++) {
        while (entry < size && groups.token(first + entry) < batch.token(e)) {
          entry++;
        }
        if (entry < size && groups.token(first + entry) == batch.token(e)) {
          lora.add(entry, batch.weight(e));
        }
      }
    }
  }

  /** Multiplies the packed input of the block by the router. */
  void route(ExpertWeights layer, Shard shard) {
    matMul.multiply(layer.router(), panel, routing, shard);
  }

  /** Chooses the experts of this shard's tokens, and clears what they will be added to. */
  void choose(int count, Shard shard) {
    groups.choose(routing, count, shard);
    for (int t = shard.first(count); t < shard.end(count); t++) {
      a.block().row(t).fill((byte) 0);
    }
  }

  /** Computes the experts that were chosen. */
  void run(WorkerTeam team, ExpertWeights layer, int count) {
    begin(layer, count);
    team.run(this, 0, chosen * PER_EXPERT + 1);
  }

  private void begin(ExpertWeights layer, int count) {
    tokens = count;
    weights = layer.experts();
    groups.group(count);
    chosen = 0;
    for (int expert = 0; expert < groups.experts(); expert++) {
      if (groups.end(expert) > groups.first(expert)) {
        active[chosen++] = expert;
      }
    }
  }

  @Override
  public int parts(int phase) {
    if (phase == chosen * PER_EXPERT) {
      return parts.byTokens(tokens);
    }
    int expert = active[phase / PER_EXPERT];
    int count = groups.end(expert) - groups.first(expert);
    Expert of = weights.get(expert);
    return switch (phase % PER_EXPERT) {
      case GATE_UP -> parts.byWork(of.gate().elements() + of.up().elements(), count);
      case DOWN -> parts.byWork(of.down().elements(), count);
      default -> parts.byTokens(count);
    };
  }

  @Override
  public boolean repeatable(int phase) {
    int step = phase % PER_EXPERT;
    return phase < chosen * PER_EXPERT && (step == GATE_UP || step == DOWN);
  }

  @Override
  public void run(int phase, Shard shard) {
    if (phase == chosen * PER_EXPERT) {
      elementwise.addExperts(groups, outputs, a.block(), tokens, shard);
      return;
    }
    int expert = active[phase / PER_EXPERT];
    int first = groups.first(expert);
    int count = groups.end(expert) - first;
    Expert of = weights.get(expert);
    Rows gate = a.gate().part(first, count);
    switch (phase % PER_EXPERT) {
      case PACK -> matMul.pack(panel, a.normed(), groups, expert, shard);
      case GATE_UP -> {
        matMul.multiply(of.gate(), panel, gate, shard);
        matMul.multiply(of.up(), panel, a.up().part(first, count), shard);
      }
      case ACTIVATE -> {
        Rows up = a.up().part(first, count);
        ForwardPhases.activate(elementwise, mlp, gate, up, count, shard);
        matMul.pack(panel, gate, count, shard);
      }
      case DOWN -> matMul.multiply(of.down(), panel, outputs.part(first, count), shard);
      default -> throw new IllegalStateException("phase " + phase + " of experts");
    }
  }
}
