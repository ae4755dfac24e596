package dev.lorikeet.jlama.decoder;

import static dev.lorikeet.shape.Projection.DOWN;
import static dev.lorikeet.shape.Projection.GATE;
import static dev.lorikeet.shape.Projection.K;
import static dev.lorikeet.shape.Projection.O;
import static dev.lorikeet.shape.Projection.Q;
import static dev.lorikeet.shape.Projection.UP;
import static dev.lorikeet.shape.Projection.V;

import dev.lorikeet.adapter.AdapterLease;
import dev.lorikeet.adapter.AdapterSpec;
import dev.lorikeet.adapter.TargetSpec;
import dev.lorikeet.executor.LoraBatch;
import dev.lorikeet.executor.LoraExecutor;
import dev.lorikeet.files.model.Architecture;
import dev.lorikeet.files.model.Attention;
import dev.lorikeet.files.model.Experts;
import dev.lorikeet.files.model.Rope;
import dev.lorikeet.files.model.RopeFrequencies;
import dev.lorikeet.host.kv.KvCache;
import dev.lorikeet.host.step.StepAdapters;
import dev.lorikeet.host.step.StepBatch;
import dev.lorikeet.host.step.StepDecoder;
import dev.lorikeet.host.switching.SwitchStats;
import dev.lorikeet.host.switching.Switching;
import dev.lorikeet.jlama.kernel.ActivationPanel;
import dev.lorikeet.jlama.kernel.AttentionScratch;
import dev.lorikeet.jlama.kernel.AttentionShape;
import dev.lorikeet.jlama.kernel.RopeTable;
import dev.lorikeet.jlama.kernel.WorkerTeam;
import dev.lorikeet.jlama.parts.ChangeCache;
import dev.lorikeet.jlama.parts.EmbeddingChanges;
import dev.lorikeet.jlama.parts.OutputLayerChanges;
import dev.lorikeet.jlama.parts.StepChanges;
import dev.lorikeet.jlama.weights.ExpertWeights;
import dev.lorikeet.jlama.weights.ModelWeights;
import dev.lorikeet.memory.PagePool;
import dev.lorikeet.shape.ModelShape;
import dev.lorikeet.shape.Projection;
import dev.lorikeet.tensor.ElementType;
import dev.lorikeet.tensor.Tensor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.Optional;
import java.util.stream.IntStream;

/**
 * The forward pass of a decoder over a ragged batch, with LoRA on every projection. Used by one
 * decoding thread, which is worker 0 of the team. The logits of a token do not depend, bit for bit,
 * on the other tokens of the batch.
 */
public final class Decoder implements StepDecoder {
  /*
   * Idea: every weight is read once per step for the whole batch, whatever mix of prefill chunks and decode tokens it
   * is. A layer is a run of phases of the worker team (ForwardPhases). Without adapters to add, all layers are one run;
   * with them a layer is four (q, k, v; attention and o; gate, up; down), each followed by one call into the LoRA
   * executor for the whole batch.
   *
   * Layout: activations are float32 rows, one per token, in buffers for the largest batch; weights stay as the files
   * store them; keys and values go to pages of the pool.
   *
   * Cost per step: bytes of all weights once, plus keys and values of all sequences, plus the adapters in use;
   * arithmetic 2 * parameters * tokens. Nothing is allocated on the heap.
   */
  private final ModelWeights model;
  private final int layerCount;
  private final WorkerTeam team;
  private final ForwardPhases phases;
  private final Optional<ExpertPhases> experts;
  private final Arena arena = Arena.ofShared();
  private final ActivationPanel panel;
  private final List<RopeTable> ropes;
  private final KvCache kv;
  private final AttentionScratch scratch;
  private final Logits logits;
  private final AdaptedLayers layers;
  private final LoraExecutor executor;
  private final Activations activations;
  private final ChangeCache prepared;
  private final StepChanges changes;
  private final EmbeddingChanges embeddings;
  private final OutputLayerChanges outputs;
  private final KernelReadiness readiness;

  // What the engine and the LoRA executor see of the activations.
  private final Tensor residual;
  private final Tensor normed;
  private final DeltaSite qkvDelta;
  private final DeltaSite oDelta;
  private final DeltaSite gateUpDelta;
  private final DeltaSite downDelta;

  /**
   * What the host lends to a decoder, and closes after it.
   *
   * @param pool where keys and values go
   * @param team the worker threads; worker 0 is the decoding thread
   * @param executor the LoRA executor, on the same team
   */
  public record Resources(PagePool pool, WorkerTeam team, LoraExecutor executor) {}

  /**
   * How a decoder works.
   *
   * @param maxTokens the most tokens of a batch
   * @param maxLogits the most rows of logits of a batch
   * @param kvType how keys and values are stored, F32 or F16
   * @param switching how a mixture is applied that all tokens of a step share; deltas where the
   *     executor does not merge into the model's weights
   */
  public record Settings(int maxTokens, int maxLogits, ElementType kvType, Switching switching) {}

  /**
   * Creates a decoder.
   *
   * @param architecture of the model
   * @param model the weights; closed by the caller, after the decoder
   */
  public Decoder(Architecture architecture, ModelWeights model, Resources lent, Settings settings) {
    this(architecture, model, lent, settings, KernelReadiness.READY);
  }

  /** Creates a decoder whose steps wait for kernels to be compiled. */
  public Decoder(
      Architecture architecture,
      ModelWeights model,
      Resources lent,
      Settings settings,
      KernelReadiness readiness) {
    this.readiness = readiness;
    ModelShape shape = architecture.shape();
    this.model = model;
    this.layerCount = shape.layers();
    this.team = lent.team();
    int workers = team.parallelism();
    int tokens = settings.maxTokens();
    int rows = settings.maxLogits();
    int perToken = architecture.experts().map(Experts::perToken).orElse(1);
    int dense = architecture.experts().map(of -> of.dense().intermediate()).orElse(0);
    int widest =
        IntStream.of(shape.hidden(), shape.intermediate(), dense, shape.queryWidth())
            .max()
            .orElseThrow();
    Activations a = Activations.allocate(arena, shape, tokens, perToken, dense, rows);
    this.panel = new ActivationPanel(Math.max(tokens, rows), widest, workers);
    List<Rope> rotations = architecture.attention().ropes();
    this.ropes = rotations.stream().map(rope -> table(rope, shape.headDim())).toList();
    int[] windows =
        architecture.attention().layers().stream()
            .mapToInt(layer -> layer.window().orElse(KvCache.NO_WINDOW))
            .toArray();
    this.kv = new KvCache(lent.pool(), settings.kvType(), windows, shape.kvWidth());
    AttentionShape attentionShape =
        new AttentionShape(
            shape.heads(),
            shape.kvHeads(),
            shape.headDim(),
            kv.geometry().blockTokens(),
            settings.kvType());
    this.scratch = new AttentionScratch(attentionShape, workers);
    List<ForwardPhases.Attention> attentions =
        architecture.attention().layers().stream()
            .map(
                layer ->
                    new ForwardPhases.Attention(
                        ofLayer(attentionShape, architecture.attention(), layer),
                        layer.rope().map(rope -> ropes.get(rotations.indexOf(rope)))))
            .toList();
    this.logits = new Logits(arena, rows, shape.vocabulary(), workers);
    this.layers = new AdaptedLayers(model.layers(), lent.executor(), settings.switching());
    this.experts =
        architecture
            .experts()
            .map(of -> new ExpertPhases(arena, of, architecture.mlp(), a, panel, tokens, workers));
    this.executor = lent.executor();
    this.activations = a;
    this.prepared = new ChangeCache(model, lent.pool());
    this.changes = new StepChanges(tokens);
    ForwardPhases.Formula formula = ForwardPhases.Formula.of(architecture, model.embedding());
    this.embeddings = new EmbeddingChanges(model.embedding(), formula.embedding(), team);
    this.outputs =
        new OutputLayerChanges(
            team,
            executor,
            new OutputLayerChanges.Buffers(a.last(), logits.rows(), panel),
            model.isTied(),
            tokens);
    this.phases =
        new ForwardPhases(
            model,
            layers,
            new ForwardPhases.Buffers(a, panel, logits, experts, changes),
            attentions,
            scratch,
            lent.pool().memory(),
            formula,
            workers);
    this.residual = a.residual().tensor();
    this.normed = a.normed().tensor();
    int count = shape.layers();
    this.qkvDelta = DeltaSite.of(count, a.normed(), List.of(a.q(), a.k(), a.v()), Q, K, V);
    this.oDelta = DeltaSite.of(count, a.attention(), List.of(a.block()), O);
    this.gateUpDelta =
        architecture.mlp().gated()
            ? DeltaSite.of(count, a.normed(), List.of(a.denseGate(), a.denseUp()), GATE, UP)
            : DeltaSite.of(count, a.normed(), List.of(a.denseUp()), UP);
    this.downDelta = DeltaSite.of(count, a.denseGate(), List.of(a.block()), DOWN);
  }

  private static RopeTable table(Rope rope, int headDim) {
    RopeFrequencies frequencies = RopeFrequencies.of(headDim, rope);
    return new RopeTable(frequencies.inverse(), frequencies.scale(), headDim);
  }

  private static AttentionShape ofLayer(
      AttentionShape shape, Attention attention, Attention.Layer layer) {
    AttentionShape scaled =
        attention.scale().isPresent()
            ? shape.withScale((float) attention.scale().getAsDouble())
            : shape;
    return scaled
        .withSoftCap((float) attention.softCap().orElse(0))
        .withWindow(layer.window().orElse(AttentionShape.NO_WINDOW));
  }

  /**
   * Returns whether an executor can merge into all linear layers of a model; quantized weights are
   * never merged into.
   */
  public static boolean canMerge(ModelWeights model, LoraExecutor executor) {
    return MergedWeights.possible(model.layers(), executor);
  }

  @Override
  public void forward(StepBatch step, StepAdapters adapters) {
    model.checkUnchanged();
    try {
      compute(step, adapters);
    } catch (InternalError e) {
      model.checkUnchanged(); // a fault in mapped memory has a reason
      throw e;
    }
  }

  private void compute(StepBatch step, StepAdapters adapters) {
    phases.begin(step, adapters.wantsFinalHidden());
    for (int i = 0; i < ropes.size(); i++) { // an iterator would be garbage
      ropes.get(i).cover(step.endPosition());
    }
    team.run(phases, 0, ForwardPhases.layer(0));
    LoraBatch lora = adapters.beforeLayers(residual);
    changes.begin(lora);
    if (changes.changesEmbedding()) {
      embeddings.apply(lora, step, activations.residual());
    }
    boolean perLayer = adapters.perLayer();
    panel.narrow(readiness.narrow(perLayer || lora.entries() > 0));
    layers.begin(lora, adapters);
    boolean inPieces = perLayer || adapters.wantsLayerInputs() || layers.addsDeltas(lora);
    if (inPieces || experts.isPresent()) {
      for (int layer = 0; layer < layerCount; layer++) {
        lora = forward(layer, lora, step.tokens(), adapters);
      }
      finish(ForwardPhases.layer(layerCount), lora, step);
    } else {
      finish(ForwardPhases.layer(0), lora, step);
    }
    layers.end(lora, perLayer);
    if (adapters.wantsFinalHidden()) {
      adapters.afterLayers(normed);
    }
  }

  /** Computes all phases from one on, and what adapters change in the logits. */
  private void finish(int first, LoraBatch lora, StepBatch step) {
    if (changes.changesOutput() && step.logits() > 0) {
      team.run(phases, first, phases.afterLogits());
      outputs.apply(lora, step);
      team.run(phases, phases.afterLogits(), phases.end());
    } else {
      team.run(phases, first, phases.end());
    }
  }

  /** Computes a layer with what happens between its products, and returns its adapters. */
  private LoraBatch forward(int layer, LoraBatch former, int tokens, StepAdapters adapters) {
    LoraBatch lora = former;
    team.run(phases, ForwardPhases.layer(layer), ForwardPhases.afterQueryKeyValue(layer));
    if (adapters.wantsLayerInputs()) {
      adapters.layerInput(layer, normed);
    }
    if (adapters.perLayer()) {
      lora = adapters.atLayer(layer, normed);
      changes.begin(lora);
    }
    layers.addDelta(qkvDelta, layer, lora);
    team.run(phases, ForwardPhases.afterQueryKeyValue(layer), ForwardPhases.afterO(layer));
    layers.addDelta(oDelta, layer, lora);
    Optional<ExpertWeights> ofLayer = model.layers().get(layer).experts();
    if (ofLayer.isPresent()) {
      forwardExperts(ofLayer.get(), layer, lora, tokens);
      return lora;
    }
    team.run(phases, ForwardPhases.afterO(layer), ForwardPhases.afterGateUp(layer));
    layers.addDelta(gateUpDelta, layer, lora);
    team.run(phases, ForwardPhases.afterGateUp(layer), ForwardPhases.layer(layer + 1));
    layers.addDelta(downDelta, layer, lora);
    return lora;
  }

  private void forwardExperts(ExpertWeights weights, int layer, LoraBatch lora, int tokens) {
    ExpertPhases of = experts.orElseThrow();
    if (changes.changesRouters()) {
      team.run(phases, ForwardPhases.afterO(layer), ForwardPhases.afterRoute(layer));
      of.addRouterDelta(layers, layer, lora);
      team.run(phases, ForwardPhases.afterRoute(layer), ForwardPhases.afterChoice(layer));
    } else {
      team.run(phases, ForwardPhases.afterO(layer), ForwardPhases.afterChoice(layer));
    }
    if (changes.changesExperts()) {
      of.run(team, weights, tokens, layers, layer, lora);
    } else {
      of.run(team, weights, tokens);
    }
  }

  @Override
  public Optional<String> refusal(AdapterSpec adapter) {
    for (TargetSpec target : adapter.targets()) {
      boolean isEmbedding = target.target().projection() == Projection.EMBED;
      if (!isEmbedding && !executor.takes(target.target())) {
        return Optional.of(
            "modules that the LoRA executor "
                + executor.getClass().getName()
                + " takes, found "
                + target.target());
      }
    }
    return Optional.empty();
  }

  @Override
  public AdapterLease prepare(AdapterLease adapter) {
    return prepared.prepare(adapter);
  }

  @Override
  public Optional<AdapterLease> prepareAtOnce(AdapterLease adapter) {
    return prepared.prepareAtOnce(adapter);
  }

  @Override
  public KvCache kv() {
    return kv;
  }

  @Override
  public MemorySegment logits(int row) {
    return logits.row(row);
  }

  @Override
  public float logit(int row, int token) {
    return logits.rows().get(row, token);
  }

  @Override
  public int best(int row) {
    return logits.best(row);
  }

  @Override
  public double logSumExp(int row) {
    return logits.logSumExp(row);
  }

  @Override
  public SwitchStats switchStats() {
    return layers.stats();
  }

  @Override
  public void close() {
    team.quiesce();
    prepared.close();
    outputs.close();
    panel.close();
    scratch.close();
    ropes.forEach(RopeTable::close);
    layers.close();
    arena.close();
  }
}
