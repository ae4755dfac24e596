package dev.lorikeet.jlama.decoder;

import dev.lorikeet.files.model.Architecture;
import dev.lorikeet.files.model.Attention.QueryScaling;
import dev.lorikeet.files.model.Mlp;
import dev.lorikeet.files.model.Multipliers;
import dev.lorikeet.files.model.Norm.Place;
import dev.lorikeet.host.step.StepBatch;
import dev.lorikeet.jlama.kernel.ActivationPanel;
import dev.lorikeet.jlama.kernel.AttentionScratch;
import dev.lorikeet.jlama.kernel.AttentionShape;
import dev.lorikeet.jlama.kernel.Elementwise;
import dev.lorikeet.jlama.kernel.Kernels;
import dev.lorikeet.jlama.kernel.MatMul;
import dev.lorikeet.jlama.kernel.PagedAttention;
import dev.lorikeet.jlama.kernel.Parts;
import dev.lorikeet.jlama.kernel.RopeTable;
import dev.lorikeet.jlama.kernel.Rows;
import dev.lorikeet.jlama.kernel.Shard;
import dev.lorikeet.jlama.kernel.WeightMatrix;
import dev.lorikeet.jlama.kernel.WorkerTeam;
import dev.lorikeet.jlama.parts.StepChanges;
import dev.lorikeet.jlama.weights.LayerWeights;
import dev.lorikeet.jlama.weights.LayerWeights.Linear;
import dev.lorikeet.jlama.weights.LayerWeights.Norm;
import dev.lorikeet.jlama.weights.ModelWeights;
import dev.lorikeet.shape.Projection;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.Optional;

/** The forward pass as the phases of a worker team: what follows when, and into how many parts. */
final class ForwardPhases implements WorkerTeam.Phases {
  /*
   * One phase ends where a kernel needs all of another's output; what is done token by token follows within a phase.
   * Phases are numbered through the whole step: the embedding, then those of each layer, then the output. What a phase
   * reads it finds by its number, never by "the layer under way", since a worker that is late may still compute a part
   * that was taken away from it.
   */
  private static final int NORM = 0;
  private static final int QKV = 1;
  private static final int QKV_BIAS = 2;
  private static final int ROTATE = 3;
  private static final int ATTEND = 4;
  private static final int PACK_ATTENTION = 5;
  private static final int O = 6;
  private static final int O_BIAS = 7;
  private static final int MLP_NORM = 8;
  private static final int ROUTE = 9;
  private static final int CHOOSE = 10;
  private static final int GATE_UP = 11;
  private static final int GATE_UP_BIAS = 12;
  private static final int ACTIVATE = 13;
  private static final int DOWN = 14;
  private static final int DOWN_BIAS = 15;
  private static final int PER_LAYER = 16;

  private static final int FINAL_NORM = 0;
  private static final int LAST_TOKENS = 1;
  private static final int LOGITS = 2;
  private static final int SUMMARY = 3;
  private static final int OUTPUT = 4;

  private final ModelWeights model;
  private final AdaptedLayers layers;
  private final Activations a;
  private final ActivationPanel panel;
  private final List<Attention> attentions;
  private final AttentionScratch scratch;
  private final MemorySegment pool;
  private final Logits logits;
  private final Optional<ExpertPhases> experts;
  private final Formula formula;
  private final StepChanges changes;
  private final float epsilon;
  private final int hidden;
  private final int layerCount;
  private final Parts parts;
  private final MatMul matMul = Kernels.get().matMul();
  private final Elementwise elementwise = Kernels.get().elementwise();
  private final PagedAttention attention = Kernels.get().attention();

  // The step under way; set between runs.
  private StepBatch batch = new StepBatch(1, 1, 1);
  private boolean wantsFinalHidden;

  /**
   * What a forward pass writes to.
   *
   * @param a activations
   * @param panel packed inputs of products
   * @param logits the outcome
   * @param experts of every layer, if the model has them
   * @param changes of adapters to outputs
   */
  record Buffers(
      Activations a,
      ActivationPanel panel,
      Logits logits,
      Optional<ExpertPhases> experts,
      StepChanges changes) {}

  /**
   * What the attention of a layer works with.
   *
   * @param shape of heads and pages
   * @param rope covers the positions of every step; empty where nothing is rotated
   */
  record Attention(AttentionShape shape, Optional<RopeTable> rope) {}

  /**
   * What differs by the model's family.
   *
   * @param embedding the factor of embeddings
   * @param epsilon of norms
   * @param mlp the MLP
   * @param multipliers factors on the way
   * @param queries how queries grow with their positions, if they do
   */
  record Formula(
      float embedding,
      double epsilon,
      Mlp mlp,
      Multipliers multipliers,
      Optional<QueryScaling> queries) {
    static Formula of(Architecture architecture, WeightMatrix embedding) {
      Multipliers m = architecture.multipliers();
      float factor = (float) m.embedding();
      if (m.roundedToWeights() && embedding instanceof WeightMatrix.Floats floats) {
        factor = floats.type().round(factor);
      }
      if (!architecture.mlp().gated() && !architecture.mlp().activation().isGelu()) {
        throw new IllegalArgumentException(
            "decoder: expected GELU in an MLP without a gate, found " + architecture.mlp());
      }
      return new Formula(
          factor,
          architecture.norm().epsilon(),
          architecture.mlp(),
          m,
          architecture.attention().queryScaling());
    }

    boolean changesLogits() {
      return multipliers.logits() != 1 || multipliers.logitCap() != 0;
    }
  }

  /**
   * Makes the phases.
   *
   * @param attentions of all layers
   * @param scratch of the workers
   * @param pool where keys and values are
   */
  ForwardPhases(
      ModelWeights model,
      AdaptedLayers layers,
      Buffers buffers,
      List<Attention> attentions,
      AttentionScratch scratch,
      MemorySegment pool,
      Formula formula,
      int workers) {
    this.model = model;
    this.layers = layers;
    this.a = buffers.a();
    this.panel = buffers.panel();
    this.logits = buffers.logits();
    this.experts = buffers.experts();
    this.changes = buffers.changes();
    this.attentions = attentions;
    this.scratch = scratch;
    this.pool = pool;
    this.formula = formula;
    this.epsilon = (float) formula.epsilon();
    this.hidden = model.embedding().columns();
    this.layerCount = model.layers().size();
    this.parts = new Parts(workers);
  }

  /** Begins a step. */
  void begin(StepBatch step, boolean finalHiddenWanted) {
    batch = step;
    wantsFinalHidden = finalHiddenWanted;
  }

  /** Returns the first phase of a layer, or of the output behind the last layer. */
  static int layer(int layer) {
    return 1 + layer * PER_LAYER;
  }

  private static int layerOf(int phase) {
    return (phase - 1) / PER_LAYER;
  }

  private static int stepOf(int phase) {
    return (phase - 1) % PER_LAYER;
  }

  /** Returns the phase of a layer that follows its q, k and v. */
  static int afterQueryKeyValue(int layer) {
    return layer(layer) + ROTATE;
  }

  /** Returns the phase of a layer that follows its attention's output projection. */
  static int afterO(int layer) {
    return layer(layer) + MLP_NORM;
  }

  /** Returns the phase of a layer that follows its router's product. */
  static int afterRoute(int layer) {
    return layer(layer) + CHOOSE;
  }

  /** Returns the phase of a layer that follows the choice of its experts. */
  static int afterChoice(int layer) {
    return layer(layer) + GATE_UP;
  }

  /** Returns the phase of a layer that follows gate and up. */
  static int afterGateUp(int layer) {
    return layer(layer) + ACTIVATE;
  }

  /** Returns the phase of the output that follows the product with its matrix. */
  int afterLogits() {
    return layer(layerCount) + SUMMARY;
  }

  /** Returns the end of all phases. */
  int end() {
    return layer(layerCount) + OUTPUT;
  }

  @Override
  public int parts(int phase) {
    if (phase == 0) {
      return parts.byTokens(batch.tokens());
    }
    int layer = layerOf(phase);
    int step = stepOf(phase);
    if (layer == layerCount) {
      return switch (step) {
        case FINAL_NORM -> parts.byTokens(batch.tokens());
        case LOGITS ->
            batch.logits() == 0 ? 0 : parts.byWork(model.output().elements(), batch.logits());
        default -> parts.byTokens(batch.logits());
      };
    }
    LayerWeights weights = layers.weights(layer);
    int tokens = batch.tokens();
    return switch (step) {
      case QKV ->
          parts.byWork(
              weights.q().elements() + weights.k().elements() + weights.v().elements(), tokens);
      case QKV_BIAS -> byBias(hasBias(weights.q()) || hasBias(weights.k()) || hasBias(weights.v()));
      case ATTEND -> parts.most();
      case O -> parts.byWork(weights.o().elements(), tokens);
      case O_BIAS -> byBias(hasBias(weights.o()));
      case ROUTE ->
          weights.experts().isPresent()
              ? parts.byWork(weights.experts().get().router().elements(), tokens)
              : 0;
      case CHOOSE -> weights.experts().isPresent() ? parts.byTokens(tokens) : 0;
      case GATE_UP ->
          parts.byWork(weights.up().elements() * (formula.mlp().gated() ? 2 : 1), tokens);
      case GATE_UP_BIAS -> byBias(hasBias(weights.up()));
      case DOWN -> parts.byWork(weights.down().elements(), tokens);
      case DOWN_BIAS -> byBias(hasBias(weights.down()));
      default -> parts.byTokens(tokens);
    };
  }

  private int byBias(boolean present) {
    return present ? parts.workers() : 0;
  }

  private static boolean hasBias(Linear linear) {
    return linear.bias().isPresent();
  }

  @Override
  public boolean repeatable(int phase) {
    if (phase == 0) {
      return false;
    }
    int step = stepOf(phase);
    if (layerOf(phase) == layerCount) {
      return step == LOGITS;
    }
    return step == QKV || step == ATTEND || step == O || step == GATE_UP || step == DOWN;
  }

  @Override
  public void run(int phase, Shard shard) {
    if (phase == 0) {
      embed(shard);
      return;
    }
    int layer = layerOf(phase);
    int step = stepOf(phase);
    if (layer == layerCount) {
      output(step, shard);
    } else {
      layer(layer, step, layers.weights(layer), shard);
    }
  }

  private void embed(Shard shard) {
    WeightMatrix table = model.embedding();
    float factor = formula.embedding();
    for (int t = shard.first(batch.tokens()); t < shard.end(batch.tokens()); t++) {
      for (int i = 0; i < hidden; i++) {
        a.residual().set(t, i, table.get(batch.tokenId(t), i) * factor);
      }
      if (model.positions().isPresent()) {
        WeightMatrix positions = model.positions().get();
        for (int i = 0; i < hidden; i++) {
          float sum = a.residual().get(t, i) + positions.get(batch.position(t), i);
          a.residual().set(t, i, sum);
        }
      }
    }
  }

  private void layer(int layer, int step, LayerWeights weights, Shard shard) {
    int tokens = batch.tokens();
    switch (step) {
      case NORM -> {
        if (layer > 0) {
          changes.apply(layer - 1, Projection.DOWN, a.block(), tokens, shard);
          addBlock(layers.weights(layer - 1).norm(Place.MLP_OUTPUT), shard);
        }
        normResidual(weights.norm(Place.ATTENTION_INPUT), shard);
        matMul.pack(panel, a.normed(), tokens, shard);
      }
      case QKV -> {
        matMul.multiply(weights.q().weight(), panel, a.q(), shard);
        matMul.multiply(weights.k().weight(), panel, a.k(), shard);
        matMul.multiply(weights.v().weight(), panel, a.v(), shard);
      }
      case QKV_BIAS -> {
        addBias(weights.q(), a.q(), shard);
        addBias(weights.k(), a.k(), shard);
        addBias(weights.v(), a.v(), shard);
      }
      case ROTATE -> {
        changes.apply(layer, Projection.Q, a.q(), tokens, shard);
        changes.apply(layer, Projection.K, a.k(), tokens, shard);
        changes.apply(layer, Projection.V, a.v(), tokens, shard);
        normQueryOrKey(weights.queryNorm(), a.q(), shard);
        normQueryOrKey(weights.keyNorm(), a.k(), shard);
        Attention of = attentions.get(layer);
        if (of.rope().isPresent()) {
          elementwise.rope(a.q(), of.rope().get(), batch, tokens, shard);
          elementwise.rope(a.k(), of.rope().get(), batch, tokens, shard);
        }
        scaleQueries(shard);
        attention.write(of.shape(), batch, layer, a.k(), a.v(), pool, shard);
      }
      case ATTEND ->
          attention.attend(
              attentions.get(layer).shape(),
              batch,
              layer,
              pool,
              a.q(),
              a.attention(),
              scratch,
              shard);
      case PACK_ATTENTION -> matMul.pack(panel, a.attention(), tokens, shard);
      case O -> matMul.multiply(weights.o().weight(), panel, a.block(), shard);
      case O_BIAS -> addBias(weights.o(), a.block(), shard);
      case MLP_NORM -> {
        changes.apply(layer, Projection.O, a.block(), tokens, shard);
        addBlock(weights.norm(Place.ATTENTION_OUTPUT), shard);
        normResidual(weights.norm(Place.MLP_INPUT), shard);
        matMul.pack(panel, a.normed(), tokens, shard);
      }
      case ROUTE -> experts.orElseThrow().route(weights.experts().orElseThrow(), shard);
      case CHOOSE -> experts.orElseThrow().choose(tokens, shard);
      case GATE_UP -> {
        if (formula.mlp().gated()) {
          matMul.multiply(weights.gate().weight(), panel, a.denseGate(), shard);
        }
        matMul.multiply(weights.up().weight(), panel, a.denseUp(), shard);
      }
      case GATE_UP_BIAS -> {
        if (formula.mlp().gated()) {
          addBias(weights.gate(), a.denseGate(), shard);
        }
        addBias(weights.up(), a.denseUp(), shard);
      }
      case ACTIVATE -> {
        changes.apply(layer, Projection.GATE, a.gate(), tokens, shard);
        changes.apply(layer, Projection.UP, a.up(), tokens, shard);
        activate(shard);
        matMul.pack(panel, a.denseGate(), tokens, shard);
      }
      case DOWN -> matMul.multiply(weights.down().weight(), panel, a.block(), shard);
      case DOWN_BIAS -> addBias(weights.down(), a.block(), shard);
      default -> throw new IllegalStateException("phase " + step + " of a layer");
    }
  }

  /** The final norm, for all tokens only if someone looks, and the logits that are wanted. */
  private void output(int step, Shard shard) {
    int rows = batch.logits();
    switch (step) {
      case FINAL_NORM -> {
        changes.apply(layerCount - 1, Projection.DOWN, a.block(), batch.tokens(), shard);
        addBlock(layers.weights(layerCount - 1).norm(Place.MLP_OUTPUT), shard);
        if (wantsFinalHidden) {
          norm(a.residual(), model.finalNorm(), a.normed(), batch.tokens(), shard);
        }
      }
      case LAST_TOKENS -> {
        for (int r = shard.first(rows); r < shard.end(rows); r++) {
          a.residual().copyRow(batch.logitToken(r), a.last(), r);
        }
        norm(a.last(), model.finalNorm(), a.last(), rows, shard);
        matMul.pack(panel, a.last(), rows, shard);
      }
      case LOGITS -> matMul.multiply(model.output(), panel, logits.rows(), shard);
      case SUMMARY -> {
        if (formula.changesLogits()) {
          logits.scale(elementwise, formula.multipliers(), rows, shard);
        }
        logits.summarize(elementwise, rows, shard);
      }
      default -> throw new IllegalStateException("phase " + step + " of the output");
    }
  }

  /** Adds to the residual stream what a block has computed, through its norm if it has one. */
  private void addBlock(Optional<Norm> norm, Shard shard) {
    int tokens = batch.tokens();
    if (norm.isPresent()) {
      norm(a.block(), norm.get(), a.block(), tokens, shard);
    }
    float factor = (float) formula.multipliers().residual();
    if (factor == 1) {
      elementwise.add(a.block(), a.residual(), tokens, shard);
    } else {
      elementwise.addScaled(a.block(), factor, a.residual(), tokens, shard);
    }
  }

  /** Makes the input of a block of the residual stream. */
  private void normResidual(Optional<Norm> norm, Shard shard) {
    int tokens = batch.tokens();
    if (norm.isPresent()) {
      norm(a.residual(), norm.get(), a.normed(), tokens, shard);
      return;
    }
    for (int t = shard.first(tokens); t < shard.end(tokens); t++) {
      a.residual().copyRow(t, a.normed(), t);
    }
  }

  private void norm(Rows x, Norm norm, Rows y, int rows, Shard shard) {
    if (norm.bias().isPresent()) {
      elementwise.layerNorm(x, norm.weight(), norm.bias().get(), epsilon, y, rows, shard);
    } else {
      elementwise.rmsNorm(x, norm.weight(), epsilon, y, rows, shard);
    }
  }

  /** Its weights tell whether the norm is one of heads or of the whole row. */
  private void normQueryOrKey(Optional<MemorySegment> norm, Rows x, Shard shard) {
    if (norm.isPresent()) {
      elementwise.rmsNormHeads(x, norm.get(), epsilon, batch.tokens(), shard);
    }
  }

  /** Multiplies the queries of tokens that lie beyond the first training's positions. */
  private void scaleQueries(Shard shard) {
    if (formula.queries().isEmpty()) {
      return;
    }
    int tokens = batch.tokens();
    for (int t = shard.first(tokens); t < shard.end(tokens); t++) {
      float factor = (float) formula.queries().get().at(batch.position(t));
      if (factor != 1) {
        elementwise.cap(a.q(), t, factor, 0);
      }
    }
  }

  private void activate(Shard shard) {
    int tokens = batch.tokens();
    Mlp mlp = formula.mlp();
    if (mlp.gated()) {
      activate(elementwise, mlp, a.denseGate(), a.denseUp(), tokens, shard);
    } else if (mlp.activation() == Mlp.Activation.GELU) {
      elementwise.erfGelu(a.denseUp(), a.denseGate(), tokens, shard);
    } else {
      elementwise.gelu(a.denseUp(), a.denseGate(), tokens, shard);
    }
  }

  /** Replaces the gate of a gated MLP by the input of the down-projection. */
  static void activate(
      Elementwise elementwise, Mlp mlp, Rows gate, Rows up, int rows, Shard shard) {
    switch (mlp.activation()) {
      case SILU -> elementwise.swiGlu(gate, up, gate, rows, shard);
      case GELU_TANH -> elementwise.geGlu(gate, up, gate, rows, shard);
      case GELU -> elementwise.erfGeGlu(gate, up, gate, rows, shard);
    }
  }

  private void addBias(Linear linear, Rows y, Shard shard) {
    if (hasBias(linear)) {
      elementwise.addBias(linear.bias().get(), y, batch.tokens(), shard);
    }
  }
}
