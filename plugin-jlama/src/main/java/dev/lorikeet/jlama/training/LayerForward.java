package dev.lorikeet.jlama.training;

import dev.lorikeet.files.model.Norm.Place;
import dev.lorikeet.jlama.kernel.Elementwise;
import dev.lorikeet.jlama.kernel.Kernels;
import dev.lorikeet.jlama.kernel.MatMul;
import dev.lorikeet.jlama.kernel.Rows;
import dev.lorikeet.jlama.kernel.SequenceAttention;
import dev.lorikeet.jlama.kernel.Shard;
import dev.lorikeet.jlama.kernel.WorkerTeam;
import dev.lorikeet.jlama.weights.LayerWeights;
import dev.lorikeet.jlama.weights.LayerWeights.Linear;
import dev.lorikeet.training.stage.MicroBatch;
import java.lang.foreign.MemorySegment;

/**
 * The forward of one layer for one micro-batch as the phases of a worker team; the deltas of
 * adapters come between them. Immutable, so that a worker that is late finds what it began with.
 *
 * @param work what the layer works with
 * @param weights of the layer
 * @param batch the micro-batch
 * @param starts of its sequences
 * @param x the layer's input
 * @param a what the layer computes for its backward
 * @param out the layer's output
 */
@SuppressWarnings("ArrayRecordComponent") // never compared
record LayerForward(
    StageWork work,
    LayerWeights weights,
    MicroBatch batch,
    int[] starts,
    Rows x,
    LayerActivations a,
    Rows out)
    implements WorkerTeam.Phases {
  static final int NORM = 0;
  static final int QKV = 1;
  static final int QKV_BIAS = 2;
  static final int ROTATE = 3;
  static final int ATTEND = 4;
  static final int PACK_ATTENTION = 5;
  static final int O = 6;
  static final int O_BIAS = 7;
  static final int MLP_NORM = 8;
  static final int GATE_UP = 9;
  static final int GATE_UP_BIAS = 10;
  static final int ACTIVATE = 11;
  static final int DOWN = 12;
  static final int DOWN_BIAS = 13;
  static final int ADD = 14;
  static final int END = 15;

  private static final MatMul MAT_MUL = Kernels.get().matMul();
  private static final Elementwise ELEMENTWISE = Kernels.get().elementwise();
  private static final SequenceAttention ATTENTION = Kernels.get().training().attention();

  /** Returns the weights of the norm before attention. */
  static MemorySegment attentionNorm(LayerWeights weights) {
    return weights.norm(Place.ATTENTION_INPUT).orElseThrow().weight();
  }

  /** Returns the weights of the norm before the MLP. */
  static MemorySegment mlpNorm(LayerWeights weights) {
    return weights.norm(Place.MLP_INPUT).orElseThrow().weight();
  }

  @Override
  public int parts(int phase) {
    int tokens = batch.tokens();
    return switch (phase) {
      case QKV ->
          work.parts.byWork(
              weights.q().elements() + weights.k().elements() + weights.v().elements(), tokens);
      case QKV_BIAS -> byBias(weights.q(), weights.k(), weights.v());
      case ATTEND -> work.parts.most();
      case O -> work.parts.byWork(weights.o().elements(), tokens);
      case O_BIAS -> byBias(weights.o());
      case GATE_UP ->
          work.parts.byWork(weights.gate().elements() + weights.up().elements(), tokens);
      case GATE_UP_BIAS -> byBias(weights.gate(), weights.up());
      case DOWN -> work.parts.byWork(weights.down().elements(), tokens);
      case DOWN_BIAS -> byBias(weights.down());
      default -> work.parts.byTokens(tokens);
    };
  }

  private int byBias(Linear... linears) {
    for (Linear linear : linears) {
      if (linear.bias().isPresent()) {
        return work.parts.workers();
      }
    }
    return 0;
  }

  @Override
  public boolean repeatable(int phase) {
    return phase == QKV || phase == ATTEND || phase == O || phase == GATE_UP || phase == DOWN;
  }

  @Override
  public void run(int phase, Shard shard) {
    int tokens = batch.tokens();
    switch (phase) {
      case NORM -> {
        ELEMENTWISE.rmsNorm(x, attentionNorm(weights), work.epsilon, work.normed, tokens, shard);
        MAT_MUL.pack(work.panel, work.normed, tokens, shard);
      }
      case QKV -> {
        MAT_MUL.multiply(weights.q().weight(), work.panel, a.rawQ(), shard);
        MAT_MUL.multiply(weights.k().weight(), work.panel, a.rawK(), shard);
        MAT_MUL.multiply(weights.v().weight(), work.panel, a.inputs().v(), shard);
      }
      case QKV_BIAS -> {
        addBias(weights.q(), a.rawQ(), shard);
        addBias(weights.k(), a.rawK(), shard);
        addBias(weights.v(), a.inputs().v(), shard);
      }
      case ROTATE -> {
        Rows q = a.inputs().q();
        Rows k = a.inputs().k();
        if (work.headNorms) {
          copy(a.rawQ(), q, shard);
          copy(a.rawK(), k, shard);
          float epsilon = work.epsilon;
          ELEMENTWISE.rmsNormHeads(q, weights.queryNorm().orElseThrow(), epsilon, tokens, shard);
          ELEMENTWISE.rmsNormHeads(k, weights.keyNorm().orElseThrow(), epsilon, tokens, shard);
        }
        ELEMENTWISE.rope(q, work.rope, batch, tokens, shard);
        ELEMENTWISE.rope(k, work.rope, batch, tokens, shard);
      }
      case ATTEND ->
          ATTENTION.attend(work.attention, starts, a.inputs(), a.outputs(), work.sequences, shard);
      case PACK_ATTENTION -> MAT_MUL.pack(work.panel, a.outputs().out(), tokens, shard);
      case O -> MAT_MUL.multiply(weights.o().weight(), work.panel, work.block, shard);
      case O_BIAS -> addBias(weights.o(), work.block, shard);
      case MLP_NORM -> {
        copy(x, a.middle(), shard);
        ELEMENTWISE.add(work.block, a.middle(), tokens, shard);
        ELEMENTWISE.rmsNorm(a.middle(), mlpNorm(weights), work.epsilon, work.normed, tokens, shard);
        MAT_MUL.pack(work.panel, work.normed, tokens, shard);
      }
      case GATE_UP -> {
        MAT_MUL.multiply(weights.gate().weight(), work.panel, a.gate(), shard);
        MAT_MUL.multiply(weights.up().weight(), work.panel, a.up(), shard);
      }
      case GATE_UP_BIAS -> {
        addBias(weights.gate(), a.gate(), shard);
        addBias(weights.up(), a.up(), shard);
      }
      case ACTIVATE -> {
        ELEMENTWISE.swiGlu(a.gate(), a.up(), work.active, tokens, shard);
        MAT_MUL.pack(work.panel, work.active, tokens, shard);
      }
      case DOWN -> MAT_MUL.multiply(weights.down().weight(), work.panel, work.block, shard);
      case DOWN_BIAS -> addBias(weights.down(), work.block, shard);
      case ADD -> {
        copy(a.middle(), out, shard);
        ELEMENTWISE.add(work.block, out, tokens, shard);
      }
      default -> throw new IllegalStateException("phase " + phase + " of a layer");
    }
  }

  private void copy(Rows from, Rows to, Shard shard) {
    for (int t = shard.first(batch.tokens()); t < shard.end(batch.tokens()); t++) {
      from.copyRow(t, to, t);
    }
  }

  private void addBias(Linear linear, Rows y, Shard shard) {
    if (linear.bias().isPresent()) {
      ELEMENTWISE.addBias(linear.bias().get(), y, batch.tokens(), shard);
    }
  }
}
