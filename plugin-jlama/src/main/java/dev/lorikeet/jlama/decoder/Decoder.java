package dev.lorikeet.jlama.decoder;

import static dev.lorikeet.shape.Projection.DOWN;
import static dev.lorikeet.shape.Projection.GATE;
import static dev.lorikeet.shape.Projection.K;
import static dev.lorikeet.shape.Projection.O;
import static dev.lorikeet.shape.Projection.Q;
import static dev.lorikeet.shape.Projection.UP;
import static dev.lorikeet.shape.Projection.V;

import dev.lorikeet.executor.LoraBatch;
import dev.lorikeet.executor.LoraExecutor;
import dev.lorikeet.files.model.Architecture;
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
import dev.lorikeet.jlama.kernel.Elementwise;
import dev.lorikeet.jlama.kernel.Kernels;
import dev.lorikeet.jlama.kernel.MatMul;
import dev.lorikeet.jlama.kernel.PagedAttention;
import dev.lorikeet.jlama.kernel.RopeTable;
import dev.lorikeet.jlama.kernel.Rows;
import dev.lorikeet.jlama.kernel.Shard;
import dev.lorikeet.jlama.kernel.WeightMatrix;
import dev.lorikeet.jlama.kernel.WorkerTeam;
import dev.lorikeet.jlama.weights.LayerWeights;
import dev.lorikeet.jlama.weights.ModelWeights;
import dev.lorikeet.memory.PagePool;
import dev.lorikeet.shape.ModelShape;
import dev.lorikeet.tensor.ElementType;
import dev.lorikeet.tensor.Tensor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.Optional;

/**
 * The forward pass of a Llama-like decoder over a ragged batch, with LoRA on every projection. Used
 * by one decoding thread, which is shard 0 of the worker team. The logits of a token do not depend,
 * bit for bit, on the other tokens of the batch.
 */
public final class Decoder implements StepDecoder {
  /*
   * Idea: every weight is read once per step for the whole batch, whatever mix of prefill chunks and decode tokens it
   * is. A layer is four tasks of the worker team (q, k, v; attention and o; gate, up; down), with barriers where one
   * kernel needs all of another's output (what is done token by token follows without one, since shards share tokens
   * out alike), and after each task one call into the LoRA executor for the whole batch.
   *
   * Layout: activations are float32 rows, one per token, in buffers for the largest batch; weights stay as the files
   * store them; keys and values go to pages of the pool.
   *
   * Cost per step: bytes of all weights once, plus keys and values of all sequences, plus the adapters in use;
   * arithmetic 2 * parameters * tokens. Nothing is allocated on the heap.
   */
  private final ModelShape shape;
  private final float epsilon;
  private final ModelWeights model;
  private final WorkerTeam team;
  private final MatMul matMul = Kernels.get().matMul();
  private final Elementwise elementwise = Kernels.get().elementwise();
  private final PagedAttention attention = Kernels.get().attention();
  private final Arena arena = Arena.ofShared();
  private final Activations a;
  private final ActivationPanel panel;
  private final RopeTable rope;
  private final KvCache kv;
  private final MemorySegment pool;
  private final AttentionShape attentionShape;
  private final AttentionScratch scratch;
  private final Logits logits;
  private final AdaptedLayers layers;

  // What the engine and the LoRA executor see of the activations.
  private final Tensor residual;
  private final Tensor normed;
  private final DeltaSite qkvDelta;
  private final DeltaSite oDelta;
  private final DeltaSite gateUpDelta;
  private final DeltaSite downDelta;

  private final WorkerTeam.Task embed = this::embed;
  private final WorkerTeam.Task queryKeyValue = this::queryKeyValue;
  private final WorkerTeam.Task attend = this::attend;
  private final WorkerTeam.Task gateUp = this::gateUp;
  private final WorkerTeam.Task down = this::down;
  private final WorkerTeam.Task output = this::output;

  // The step under way, read by the shards.
  private StepBatch batch = new StepBatch(1, 1, 1);
  private LayerWeights weights;
  private int layer;
  private boolean wantsFinalHidden;

  /**
   * What the host lends to a decoder, and closes after it.
   *
   * @param pool where keys and values go
   * @param team the worker threads; shard 0 is the decoding thread
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
    this.shape = architecture.shape();
    this.epsilon = (float) architecture.normEpsilon();
    this.model = model;
    this.team = lent.team();
    int shards = team.parallelism();
    int tokens = settings.maxTokens();
    int rows = settings.maxLogits();
    int widest = Math.max(Math.max(shape.hidden(), shape.intermediate()), shape.queryWidth());
    this.a = Activations.allocate(arena, shape, tokens, rows);
    this.panel = new ActivationPanel(Math.max(tokens, rows), widest, shards);
    RopeFrequencies frequencies = RopeFrequencies.of(architecture);
    this.rope = new RopeTable(frequencies.inverse(), frequencies.scale());
    this.kv = new KvCache(lent.pool(), settings.kvType(), shape.layers(), shape.kvWidth());
    this.pool = lent.pool().memory();
    int blockTokens = kv.geometry().blockTokens();
    this.attentionShape =
        new AttentionShape(
            shape.heads(), shape.kvHeads(), shape.headDim(), blockTokens, settings.kvType());
    this.scratch = new AttentionScratch(attentionShape, shards);
    this.logits = new Logits(arena, rows, shape.vocabulary(), shards);
    this.layers = new AdaptedLayers(model.layers(), lent.executor(), settings.switching());
    this.weights = model.layers().getFirst();
    this.residual = a.residual().tensor();
    this.normed = a.normed().tensor();
    int count = shape.layers();
    this.qkvDelta = DeltaSite.of(count, a.normed(), List.of(a.q(), a.k(), a.v()), Q, K, V);
    this.oDelta = DeltaSite.of(count, a.attention(), List.of(a.block()), O);
    this.gateUpDelta = DeltaSite.of(count, a.normed(), List.of(a.gate(), a.up()), GATE, UP);
    this.downDelta = DeltaSite.of(count, a.gate(), List.of(a.block()), DOWN);
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
    batch = step;
    wantsFinalHidden = adapters.wantsFinalHidden();
    boolean wantsLayerInputs = adapters.wantsLayerInputs();
    rope.cover(step.endPosition());
    team.run(embed);
    LoraBatch lora = adapters.beforeLayers(residual);
    boolean perLayer = adapters.perLayer();
    layers.begin(lora, adapters);
    for (layer = 0; layer < shape.layers(); layer++) {
      weights = layers.weights(layer);
      team.run(queryKeyValue);
      if (wantsLayerInputs) {
        adapters.layerInput(layer, normed);
      }
      lora = perLayer ? adapters.atLayer(layer, normed) : lora;
      layers.addDelta(qkvDelta, layer, lora);
      team.run(attend);
      layers.addDelta(oDelta, layer, lora);
      team.run(gateUp);
      layers.addDelta(gateUpDelta, layer, lora);
      team.run(down);
      layers.addDelta(downDelta, layer, lora);
    }
    team.run(output);
    layers.end(lora, perLayer);
    if (wantsFinalHidden) {
      adapters.afterLayers(normed);
    }
  }

  private void embed(Shard shard) {
    WeightMatrix table = model.embedding();
    for (int t = shard.first(batch.tokens()); t < shard.end(batch.tokens()); t++) {
      for (int i = 0; i < shape.hidden(); i++) {
        a.residual().set(t, i, table.get(batch.tokenId(t), i));
      }
    }
  }

  private void queryKeyValue(Shard shard) {
    if (layer > 0) {
      addToResidual(a.block(), shard);
    }
    rmsNorm(a.residual(), weights.inputNorm(), a.normed(), batch.tokens(), shard);
    pack(a.normed(), batch.tokens(), shard);
    multiply(weights.q(), a.q(), shard);
    multiply(weights.k(), a.k(), shard);
    multiply(weights.v(), a.v(), shard);
  }

  private void attend(Shard shard) {
    normHeads(weights.queryNorm(), a.q(), shard);
    normHeads(weights.keyNorm(), a.k(), shard);
    elementwise.rope(a.q(), rope, batch, batch.tokens(), shard);
    elementwise.rope(a.k(), rope, batch, batch.tokens(), shard);
    attention.write(attentionShape, batch, layer, a.k(), a.v(), pool, shard);
    team.barrier();
    attention.attend(attentionShape, batch, layer, pool, a.q(), a.attention(), scratch, shard);
    team.barrier();
    pack(a.attention(), batch.tokens(), shard);
    multiply(weights.o(), a.block(), shard);
  }

  private void gateUp(Shard shard) {
    addToResidual(a.block(), shard);
    rmsNorm(a.residual(), weights.postAttentionNorm(), a.normed(), batch.tokens(), shard);
    pack(a.normed(), batch.tokens(), shard);
    multiply(weights.gate(), a.gate(), shard);
    multiply(weights.up(), a.up(), shard);
  }

  private void down(Shard shard) {
    elementwise.swiGlu(a.gate(), a.up(), a.gate(), batch.tokens(), shard);
    pack(a.gate(), batch.tokens(), shard);
    multiply(weights.down(), a.block(), shard);
  }

  /** The final norm, for all tokens only if someone looks, and the logits that are wanted. */
  private void output(Shard shard) {
    addToResidual(a.block(), shard);
    if (wantsFinalHidden) {
      rmsNorm(a.residual(), model.finalNorm(), a.normed(), batch.tokens(), shard);
    }
    int rows = batch.logits();
    if (rows == 0) {
      return;
    }
    team.barrier();
    for (int r = shard.first(rows); r < shard.end(rows); r++) {
      a.residual().copyRow(batch.logitToken(r), a.last(), r);
    }
    rmsNorm(a.last(), model.finalNorm(), a.last(), rows, shard);
    pack(a.last(), rows, shard);
    matMul.multiply(model.output(), panel, logits.rows(), shard);
    team.barrier();
    logits.summarize(elementwise, rows, shard);
  }

  private void addToResidual(Rows block, Shard shard) {
    elementwise.add(block, a.residual(), batch.tokens(), shard);
  }

  private void rmsNorm(Rows x, MemorySegment norm, Rows y, int rows, Shard shard) {
    elementwise.rmsNorm(x, norm, epsilon, y, rows, shard);
  }

  private void normHeads(Optional<MemorySegment> norm, Rows x, Shard shard) {
    if (norm.isPresent()) {
      elementwise.rmsNormHeads(x, norm.get(), epsilon, batch.tokens(), shard);
    }
  }

  private void pack(Rows x, int rows, Shard shard) {
    matMul.pack(panel, x, rows, shard);
    team.barrier();
  }

  private void multiply(LayerWeights.Linear linear, Rows y, Shard shard) {
    matMul.multiply(linear.weight(), panel, y, shard);
    if (linear.bias().isPresent()) {
      team.barrier();
      elementwise.addBias(linear.bias().get(), y, batch.tokens(), shard);
    }
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
    panel.close();
    scratch.close();
    rope.close();
    layers.close();
    arena.close();
  }
}
