package dev.lorikeet.host.serving;

import dev.lorikeet.adapter.AdapterLease;
import dev.lorikeet.adapter.LoraFactor;
import dev.lorikeet.adapter.LoraWeights;
import dev.lorikeet.adapter.TargetSpec;
import dev.lorikeet.executor.LoraBatch;
import dev.lorikeet.host.kv.KvCache;
import dev.lorikeet.host.step.StepAdapters;
import dev.lorikeet.host.step.StepBatch;
import dev.lorikeet.host.step.StepDecoder;
import dev.lorikeet.host.switching.SwitchPlanner;
import dev.lorikeet.host.switching.SwitchStats;
import dev.lorikeet.host.switching.Switching;
import dev.lorikeet.memory.PagePool;
import dev.lorikeet.shape.ModelShape;
import dev.lorikeet.tensor.ElementType;
import dev.lorikeet.tensor.Tensor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;

/** A decoder whose logits are a hash of everything that logits may depend on. */
final class FakeDecoder implements StepDecoder {
  /*
   * Idea: a token's state is 64 bits. It begins as the token's id; each layer adds what the adapters of the token have
   * in their pages, by their weights, writes the state into the pages of keys and values, and mixes in what is there
   * for all positions up to its own, in their order. Hidden rows and logits are drawn from the state. So a page that
   * was given away, a position that was not computed, a lease that was closed, a weight or a neighbour that is mistaken
   * for another: all of them change the tokens that come.
   */
  private static final ValueLayout.OfLong STATE = ValueLayout.JAVA_LONG;
  private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT;

  /**
   * A step that was computed.
   *
   * @param adapters how many adapters its tokens used at its last layer
   */
  record Step(int tokens, int adapters) {}

  private final ModelShape shape;
  private final Arena arena = Arena.ofShared();
  private final KvCache kv;
  private final int[] windows;
  private final MemorySegment pool;
  private final Tensor rows;
  private final Tensor logits;
  private final long[] states;
  private final SwitchPlanner switching = new SwitchPlanner(Switching.DELTA, 0);
  private final List<Step> steps = new ArrayList<>();

  /** Makes a decoder whose layers see through windows, whether the cache knows it or not. */
  FakeDecoder(ModelShape shape, KvCache kv, int[] windows, PagePool pool, Limits limits) {
    this.shape = shape;
    this.kv = kv;
    this.windows = windows.clone();
    this.pool = pool.memory();
    this.rows = tensor(limits.batchTokens(), shape.hidden());
    this.logits = tensor(limits.logits(), shape.vocabulary());
    this.states = new long[limits.batchTokens()];
  }

  private Tensor tensor(int count, int columns) {
    MemorySegment memory = arena.allocate(FLOAT, (long) count * columns);
    return Tensor.host(memory, ElementType.F32, count, columns);
  }

  @Override
  public void forward(StepBatch step, StepAdapters adapters) {
    int tokens = step.tokens();
    for (int t = 0; t < tokens; t++) {
      states[t] = mixed(step.tokenId(t));
    }
    LoraBatch lora = adapters.beforeLayers(hidden(tokens));
    for (int layer = 0; layer < shape.layers(); layer++) {
      if (adapters.wantsLayerInputs()) {
        adapters.layerInput(layer, hidden(tokens));
      }
      lora = adapters.perLayer() ? adapters.atLayer(layer, hidden(tokens)) : lora;
      adapt(lora);
      attend(step, layer);
    }
    if (adapters.wantsFinalHidden()) {
      adapters.afterLayers(hidden(tokens));
    }
    for (int row = 0; row < step.logits(); row++) {
      draw(states[step.logitToken(row)], logits, row, 8);
    }
    steps.add(new Step(tokens, lora.segments()));
  }

  /** Adds up what the adapters have for each token, in any order. */
  private void adapt(LoraBatch lora) {
    for (int s = 0; s < lora.segments(); s++) {
      long content = content(lora.adapter(s));
      for (int i = lora.segmentStart(s); i < lora.segmentEnd(s); i++) {
        states[lora.token(i)] += mixed(content ^ Float.floatToIntBits(lora.weight(i)));
      }
    }
  }

  /** Returns a hash of the weights. */
  private static long content(AdapterLease lease) {
    long content = 0;
    for (TargetSpec target : lease.spec().targets()) {
      LoraWeights weights = lease.weights(target.target()).orElseThrow();
      for (LoraFactor factor : List.of(weights.a(), weights.b())) {
        for (int r = 0; r < factor.rank(); r++) {
          float first = factor.memory().get(FLOAT, factor.rowOffset(r));
          content = mixed(content + Float.floatToIntBits(first));
        }
      }
    }
    return content;
  }

  private void attend(StepBatch step, int layer) {
    for (int t = 0; t < step.tokens(); t++) {
      pool.set(STATE, place(step, step.sequenceOf(t), step.position(t), layer), states[t]);
    }
    for (int t = 0; t < step.tokens(); t++) {
      long seen = 0;
      int first = Math.max(0, step.position(t) - windows[layer] + 1);
      for (int position = first; position <= step.position(t); position++) {
        seen = mixed(seen + pool.get(STATE, place(step, step.sequenceOf(t), position, layer)));
      }
      states[t] = mixed(states[t] ^ seen);
    }
  }

  /** Returns where the key of a position begins. */
  private long place(StepBatch step, int sequence, int position, int layer) {
    int block = position / kv.blockTokens();
    long keyBytes = (long) shape.kvWidth() * Float.BYTES;
    return step.blockOffset(sequence, block, layer) + position % kv.blockTokens() * keyBytes;
  }

  private Tensor hidden(int tokens) {
    for (int t = 0; t < tokens; t++) {
      draw(states[t], rows, t, 1);
    }
    return rows;
  }

  /** Fills a row with numbers from {@code -bound} to {@code bound} that follow from a state. */
  private static void draw(long state, Tensor target, int row, float bound) {
    for (int i = 0; i < target.columns(); i++) {
      float number = bound * (mixed(state + i) >> 40) * 0x1p-23f;
      target.segment().setAtIndex(FLOAT, row * target.columns() + i, number);
    }
  }

  /** Mixes 64 bits: the finalizer of SplitMix64. */
  private static long mixed(long bits) {
    long z = bits + 0x9E3779B97F4A7C15L;
    z = (z ^ (z >>> 30)) * 0xBF58476D1CE4E5B9L;
    z = (z ^ (z >>> 27)) * 0x94D049BB133111EBL;
    return z ^ (z >>> 31);
  }

  /** Returns the steps that were computed. */
  List<Step> steps() {
    return steps;
  }

  @Override
  public KvCache kv() {
    return kv;
  }

  @Override
  public MemorySegment logits(int row) {
    return logits.segment().asSlice(row * logits.rowStrideBytes(), logits.rowStrideBytes());
  }

  @Override
  public float logit(int row, int token) {
    return logits.segment().getAtIndex(FLOAT, row * logits.columns() + token);
  }

  @Override
  public int best(int row) {
    int best = 0;
    for (int token = 1; token < shape.vocabulary(); token++) {
      best = logit(row, token) > logit(row, best) ? token : best;
    }
    return best;
  }

  @Override
  public double logSumExp(int row) {
    double sum = 0;
    for (int token = 0; token < shape.vocabulary(); token++) {
      sum += Math.exp(logit(row, token));
    }
    return Math.log(sum);
  }

  @Override
  public SwitchStats switchStats() {
    return switching;
  }

  @Override
  public void close() {
    arena.close();
  }
}
