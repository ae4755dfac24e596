package dev.lorikeet.jlama.decoder;

import dev.lorikeet.executor.LoraBatch;
import dev.lorikeet.executor.LoraExecutor;
import dev.lorikeet.executor.TargetGroup;
import dev.lorikeet.files.model.Architecture;
import dev.lorikeet.files.model.RopeFrequencies;
import dev.lorikeet.host.kv.KvCache;
import dev.lorikeet.host.step.StepAdapters;
import dev.lorikeet.host.step.StepBatch;
import dev.lorikeet.host.step.StepDecoder;
import dev.lorikeet.host.switching.SwitchPlanner;
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
import dev.lorikeet.shape.Projection;
import dev.lorikeet.tensor.ElementType;
import dev.lorikeet.tensor.Tensor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;

/**
 * The forward pass of a Llama-like decoder over a ragged batch, with LoRA on every projection. Used
 * by one decoding thread, which is shard 0 of the worker team. The logits of a token do not depend,
 * bit for bit, on the other tokens of the batch.
 */
public final class Decoder implements StepDecoder {
  /*
   * Idea: every weight is read once per step for the whole batch, whatever mix of prefill chunks and decode tokens it is. A layer is four tasks of the worker team (q, k, v; attention
   * and o; gate, up; down), with barriers where one kernel needs all of another's output (what is done token by token follows without one, since shards share tokens out alike), and after each task one call into the LoRA executor for the whole batch.
   *
   * Layout: activations are float32 rows, one per token, in buffers for the largest batch; weights stay as the files store them; keys and values go to pages of the pool.
   *
   * Cost per step: bytes of all weights once, plus keys and values of all sequences, plus the adapters in use; arithmetic 2 * parameters * tokens. Nothing is allocated on
   * the heap.
   */
  private final ModelShape shape;
  private final float epsilon;
  private final ModelWeights weights;
  private final MatMul matMul = Kernels.get().matMul();
  private final Elementwise elementwise = Kernels.get().elementwise();
  private final PagedAttention attention = Kernels.get().attention();
  private final WorkerTeam team;
  private final LoraExecutor executor;
  private final Arena arena = Arena.ofShared();
  private final Activations a;
  private final ActivationPanel panel;
  private final AttentionShape attentionShape;
  private final AttentionScratch attentionScratch;
  private final RopeTable rope;
  private final KvCache kv;
  private final MemorySegment poolMemory;
  private final List<Groups> groups = new ArrayList<>();
  private final Tensor residual;
  private final Tensor normed;
  private final Tensor attended;
  private final Tensor gated;
  private final List<Tensor> qkvOut;
  private final List<Tensor> blockOut;
  private final List<Tensor> gateUpOut;
  private final List<MemorySegment> logitRows;
  private final int[] best;
  private final double[] logSumExp;
  private final SwitchPlanner planner;
  private final MergedWeights merged;

  // The step under way, read by the shards.
  private StepBatch batch;
  private LayerWeights layerWeights;
  private int layer;
  private boolean wantsFinalHidden;
  private boolean applyDeltas;
  private long deltaNanos;
  private final WorkerTeam.Task embed = this::embed;
  private final WorkerTeam.Task queryKeyValue = this::queryKeyValue;
  private final WorkerTeam.Task attend = this::attend;
  private final WorkerTeam.Task gateUp = this::gateUp;
  private final WorkerTeam.Task down = this::down;
  private final WorkerTeam.Task output = this::output;

  /** The target groups of a layer. */
  private record Groups(TargetGroup qkv, TargetGroup o, TargetGroup gateUp, TargetGroup down) {}

  /**
   * Creates a decoder.
   *
   * @param weights the weights
   * @param pool where keys and values go
   * @param team the worker threads; shard 0 is the decoding thread
   * @param executor the LoRA executor, on the same team
   * @param maxTokens the most tokens of a batch
   * @param maxLogits the most rows of logits of a batch
   * @param kvType how keys and values are stored, F32 or F16
   * @param switching how a mixture is applied that all tokens of a step share; deltas where the
   *     executor does not merge into these weights
   */
  public Decoder(
      Architecture config,
      ModelWeights weights,
      PagePool pool,
      WorkerTeam team,
      LoraExecutor executor,
      int maxTokens,
      int maxLogits,
      ElementType kvType,
      Switching switching) {
    this.shape = config.shape();
    this.epsilon = (float) config.rmsNormEps();
    this.weights = weights;
    this.kv = new KvCache(pool, kvType, shape.layers(), shape.kvWidth());
    this.poolMemory = pool.memory();
    this.team = team;
    this.executor = executor;
    int threads = team.parallelism();
    this.a = Activations.allocate(arena, shape, maxTokens, maxLogits, threads);
    int widest = Math.max(Math.max(shape.hidden(), shape.intermediate()), shape.queryWidth());
    this.panel = new ActivationPanel(Math.max(maxTokens, maxLogits), widest, threads);
    this.attentionShape =
        new AttentionShape(
            shape.heads(), shape.kvHeads(), shape.headDim(), kv.geometry().blockTokens(), kvType);
    this.attentionScratch = new AttentionScratch(attentionShape, threads);
    RopeFrequencies frequencies = RopeFrequencies.of(config);
    this.rope = new RopeTable(frequencies.inverse(), frequencies.scale());
    for (int l = 0; l < shape.layers(); l++) {
      groups.add(
          new Groups(
              TargetGroup.of(l, Projection.Q, Projection.K, Projection.V),
              TargetGroup.of(l, Projection.O),
              TargetGroup.of(l, Projection.GATE, Projection.UP),
              TargetGroup.of(l, Projection.DOWN)));
    }
    this.residual = a.residual().tensor();
    this.normed = a.normed().tensor();
    this.attended = a.attention().tensor();
    this.gated = a.gate().tensor();
    this.qkvOut = List.of(a.q().tensor(), a.k().tensor(), a.v().tensor());
    this.blockOut = List.of(a.block().tensor());
    this.gateUpOut = List.of(a.gate().tensor(), a.up().tensor());
    this.logitRows = IntStream.range(0, maxLogits).mapToObj(a.logits()::row).toList();
    this.best = new int[maxLogits];
    this.logSumExp = new double[maxLogits];
    boolean merges = MergedWeights.possible(weights.layers(), executor);
    this.merged = new MergedWeights(weights.layers(), executor);
    Switching mode = merges ? switching : Switching.DELTA;
    this.planner = new SwitchPlanner(mode, mode == Switching.AUTO ? merged.copy() : 0);
    this.batch = new StepBatch(1, 1, 1);
    this.layerWeights = weights.layers().getFirst();
  }

  @Override
  public KvCache kv() {
    return kv;
  }

  @Override
  public void forward(StepBatch step, StepAdapters adapters) {
    batch = step;
    wantsFinalHidden = adapters.wantsFinalHidden();
    boolean wantsLayerInputs = adapters.wantsLayerInputs();
    rope.cover(step.endPosition());
    team.run(embed);
    LoraBatch lora = adapters.beforeLayers(residual);
    boolean useMerged =
        !adapters.perLayer() && lora.entries() > 0 && useMerged(lora, adapters.stepsToCome());
    applyDeltas = !useMerged;
    deltaNanos = 0;
    for (layer = 0; layer < shape.layers(); layer++) {
      layerWeights = useMerged ? merged.layer(layer) : weights.layers().get(layer);
      Groups targets = groups.get(layer);
      team.run(queryKeyValue);
      if (wantsLayerInputs) {
        adapters.layerInput(layer, a.normed().tensor());
      }
      if (adapters.perLayer()) {
        lora = adapters.atLayer(layer, normed);
      }
      addDelta(targets.qkv(), lora, normed, qkvOut);
      team.run(attend);
      addDelta(targets.o(), lora, attended, blockOut);
      team.run(gateUp);
      addDelta(targets.gateUp(), lora, normed, gateUpOut);
      team.run(down);
      addDelta(targets.down(), lora, gated, blockOut);
    }
    team.run(output);
    if (lora.entries() > 0) {
      if (useMerged) {
        planner.usedMerged();
      } else {
        planner.rented(lora, adapters.perLayer(), deltaNanos);
      }
    }
    if (wantsFinalHidden) {
      adapters.afterLayers(normed);
    }
  }

  private void addDelta(TargetGroup targets, LoraBatch lora, Tensor x, List<Tensor> y) {
    if (!applyDeltas || lora.entries() == 0) {
      return;
    }
    if (planner.measures()) {
      long start = System.nanoTime();
      executor.addDelta(targets, lora, x, y);
      deltaNanos += System.nanoTime() - start;
    } else {
      executor.addDelta(targets, lora, x, y);
    }
  }

  /**
   * Returns whether the step uses the merged weights, after switching to its mixture if need be.
   */
  private boolean useMerged(LoraBatch lora, int steps) {
    SwitchPlanner.Choice choice = planner.choose(lora, steps);
    if (choice == SwitchPlanner.Choice.PROBE) {
      long start = System.nanoTime();
      long layerNanos = merged.probe(lora);
      planner.probed(layerNanos, System.nanoTime() - start, shape.layers());
      choice = planner.choose(lora, steps);
    }
    if (choice == SwitchPlanner.Choice.SWITCH) {
      long start = System.nanoTime();
      planner.switching();
      merged.switchTo(lora);
      planner.switched(lora, System.nanoTime() - start);
    }
    return choice == SwitchPlanner.Choice.SWITCH || choice == SwitchPlanner.Choice.MERGED;
  }

  @Override
  public SwitchStats switchStats() {
    return planner;
  }

  /**
   * Returns whether an executor can merge into all linear layers of a model; quantized weights are
   * never merged into.
   */
  public static boolean canMerge(ModelWeights weights, LoraExecutor executor) {
    return MergedWeights.possible(weights.layers(), executor);
  }

  private void embed(Shard shard) {
    WeightMatrix table = weights.embedding();
    for (int t = shard.first(batch.tokens()); t < shard.end(batch.tokens()); t++) {
      for (int i = 0; i < shape.hidden(); i++) {
        a.residual().set(t, i, table.get(batch.tokenId(t), i));
      }
    }
  }

  private void queryKeyValue(Shard shard) {
    if (layer > 0) {
      addBlockToResidual(shard);
    }
    normalize(layerWeights.inputNorm(), shard);
    multiply(layerWeights.q(), a.q(), shard);
    multiply(layerWeights.k(), a.k(), shard);
    multiply(layerWeights.v(), a.v(), shard);
  }

  private void attend(Shard shard) {
    int tokens = batch.tokens();
    elementwise.rope(a.q(), rope, batch, tokens, shard);
    elementwise.rope(a.k(), rope, batch, tokens, shard);
    attention.write(attentionShape, batch, layer, a.k(), a.v(), poolMemory, shard);
    team.barrier();
    attention.attend(
        attentionShape, batch, layer, poolMemory, a.q(), a.attention(), attentionScratch, shard);
    team.barrier();
    pack(a.attention(), tokens, shard);
    multiply(layerWeights.o(), a.block(), shard);
  }

  private void gateUp(Shard shard) {
    addBlockToResidual(shard);
    normalize(layerWeights.postAttentionNorm(), shard);
    multiply(layerWeights.gate(), a.gate(), shard);
    multiply(layerWeights.up(), a.up(), shard);
  }

  private void down(Shard shard) {
    elementwise.swiGlu(a.gate(), a.up(), a.gate(), batch.tokens(), shard);
    pack(a.gate(), batch.tokens(), shard);
    multiply(layerWeights.down(), a.block(), shard);
  }

  /**
   * Final norm, output matrix, and for each row of logits its largest and the logarithm of the sum
   * of exponentials.
   */
  private void output(Shard shard) {
    addBlockToResidual(shard);
    if (wantsFinalHidden) {
      rmsNorm(a.residual(), weights.finalNorm(), a.normed(), batch.tokens(), shard);
    }
    int rows = batch.logits();
    if (rows == 0) {
      return;
    }
    team.barrier();
    Rows last = a.last();
    for (int r = shard.first(rows); r < shard.end(rows); r++) {
      a.residual().copyRow(batch.logitToken(r), last, r);
    }
    rmsNorm(last, weights.finalNorm(), last, rows, shard);
    pack(last, rows, shard);
    matMul.multiply(weights.output(), panel, a.logits(), shard);
    team.barrier();
    for (int r = shard.first(rows); r < shard.end(rows); r++) {
      best[r] = elementwise.argmax(a.logits(), r);
      // The largest probability is 1 / sum of exp(logit - max), which gives the sum.
      a.logits().copyRow(r, a.probabilities(), shard.index());
      elementwise.softmax(a.probabilities(), shard.index());
      float largest = a.probabilities().get(shard.index(), best[r]);
      logSumExp[r] = a.logits().get(r, best[r]) - Math.log(largest);
    }
  }

  private void addBlockToResidual(Shard shard) {
    elementwise.add(a.block(), a.residual(), batch.tokens(), shard);
  }

  /** Writes the norm of the residual stream and packs it for the products that follow. */
  private void normalize(MemorySegment norm, Shard shard) {
    rmsNorm(a.residual(), norm, a.normed(), batch.tokens(), shard);
    pack(a.normed(), batch.tokens(), shard);
  }

  private void rmsNorm(Rows x, MemorySegment weight, Rows y, int rows, Shard shard) {
    elementwise.rmsNorm(x, weight, epsilon, y, rows, shard);
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
  public float logit(int row, int token) {
    return a.logits().get(row, token);
  }

  @Override
  public MemorySegment logits(int row) {
    return logitRows.get(row);
  }

  @Override
  public int best(int row) {
    return best[row];
  }

  @Override
  public double logSumExp(int row) {
    return logSumExp[row];
  }

  @Override
  public void close() {
    panel.close();
    attentionScratch.close();
    rope.close();
    merged.close();
    arena.close();
  }
}
