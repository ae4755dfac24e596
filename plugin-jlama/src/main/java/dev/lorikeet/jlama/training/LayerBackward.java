package dev.lorikeet.jlama.training;

import dev.lorikeet.jlama.kernel.BackElementwise;
import dev.lorikeet.jlama.kernel.BackMatMul;
import dev.lorikeet.jlama.kernel.BackMatMul.Term;
import dev.lorikeet.jlama.kernel.Elementwise;
import dev.lorikeet.jlama.kernel.Kernels;
import dev.lorikeet.jlama.kernel.Rows;
import dev.lorikeet.jlama.kernel.SequenceAttention;
import dev.lorikeet.jlama.kernel.Shard;
import dev.lorikeet.jlama.kernel.WorkerTeam;
import dev.lorikeet.jlama.weights.LayerWeights;
import dev.lorikeet.training.stage.MicroBatch;
import java.util.List;

/**
 * The backward of one layer for one micro-batch as the phases of a worker team; the gradients of
 * adapters come between them. Immutable, as {@link LayerForward}.
 */
final class LayerBackward implements WorkerTeam.Phases {
  /*
   * d is the gradient of the residual stream on its way down: of the layer's output at first, of the stream behind
   * attention from MLP_NORM on, of the layer's input at the end. Gate and up become their own gradients. Inputs of
   * products are computed again where that takes a norm or an activation only.
   */
  static final int ACTIVATE = 0;
  static final int DOWN = 1;
  static final int ACTIVATION = 2;
  static final int GATE_UP = 3;
  static final int MLP_NORM = 4;
  static final int O = 5;
  static final int ATTEND = 6;
  static final int ROTATE = 7;
  static final int QKV = 8;
  static final int INPUT_NORM = 9;
  static final int END = 10;

  private static final int MOST_PARTS_PER_WORKER = 4;
  private static final Elementwise ELEMENTWISE = Kernels.get().elementwise();
  private static final BackMatMul MAT_MUL = Kernels.get().training().matMul();
  private static final BackElementwise BACK = Kernels.get().training().elementwise();
  private static final SequenceAttention ATTENTION = Kernels.get().training().attention();

  private final StageWork work;
  private final LayerWeights weights;
  private final MicroBatch batch;
  private final int[] starts;
  private final Rows x;
  private final LayerActivations a;
  private final Rows d;
  private final List<Term> down;
  private final List<Term> gateUp;
  private final List<Term> o;
  private final List<Term> qkv;

  /**
   * Creates the phases.
   *
   * @param forward the forward of the same layer and micro-batch
   * @param d the gradient of the residual stream, in and out
   * @param dDown the gradient of the down-projection's output when its phase begins
   * @param dO likewise of the output projection
   */
  LayerBackward(LayerForward forward, Rows d, Rows dDown, Rows dO) {
    this.work = forward.work();
    this.weights = forward.weights();
    this.batch = forward.batch();
    this.starts = forward.starts();
    this.x = forward.x();
    this.a = forward.a();
    this.d = d;
    down = List.of(new Term(weights.down().weight(), dDown));
    gateUp =
        List.of(
            new Term(weights.gate().weight(), a.gate()), new Term(weights.up().weight(), a.up()));
    o = List.of(new Term(weights.o().weight(), dO));
    qkv =
        List.of(
            new Term(weights.q().weight(), work.dInputs.q()),
            new Term(weights.k().weight(), work.dInputs.k()),
            new Term(weights.v().weight(), work.dInputs.v()));
  }

  @Override
  public int parts(int phase) {
    return switch (phase) {
      case DOWN -> byWork(down);
      case GATE_UP -> byWork(gateUp);
      case O -> byWork(o);
      case QKV -> byWork(qkv);
      case ATTEND -> work.parts.most();
      default -> work.parts.byTokens(batch.tokens());
    };
  }

  private int byWork(List<Term> terms) {
    long elements = terms.stream().mapToLong(term -> term.weights().elements()).sum();
    int most = MOST_PARTS_PER_WORKER * work.parts.workers();
    return Math.min(work.parts.byWork(elements, batch.tokens()), most);
  }

  @Override
  public boolean repeatable(int phase) {
    return phase == DOWN || phase == GATE_UP || phase == O || phase == ATTEND || phase == QKV;
  }

  @Override
  public void run(int phase, Shard shard) {
    int tokens = batch.tokens();
    float epsilon = work.epsilon;
    switch (phase) {
      case ACTIVATE -> ELEMENTWISE.swiGlu(a.gate(), a.up(), work.active, tokens, shard);
      case DOWN -> MAT_MUL.multiply(down, work.dActive, tokens, work.back, shard);
      case ACTIVATION -> {
        BACK.swiGlu(work.dActive, a.gate(), a.up(), tokens, shard);
        ELEMENTWISE.rmsNorm(
            a.middle(), LayerForward.mlpNorm(weights), epsilon, work.normed, tokens, shard);
      }
      case GATE_UP -> MAT_MUL.multiply(gateUp, work.dNormed, tokens, work.back, shard);
      case MLP_NORM ->
          BACK.addRmsNorm(
              a.middle(), LayerForward.mlpNorm(weights), epsilon, work.dNormed, d, tokens, shard);
      case O -> MAT_MUL.multiply(o, work.dAttention, tokens, work.back, shard);
      case ATTEND ->
          ATTENTION.back(
              work.attention,
              starts,
              a.inputs(),
              a.outputs(),
              work.dAttention,
              work.dInputs,
              work.sequences,
              shard);
      case ROTATE -> {
        Rows dq = work.dInputs.q();
        Rows dk = work.dInputs.k();
        BACK.rope(dq, work.rope, batch, tokens, shard);
        BACK.rope(dk, work.rope, batch, tokens, shard);
        if (work.headNorms) {
          BACK.rmsNormHeads(
              a.rawQ(), weights.queryNorm().orElseThrow(), epsilon, dq, tokens, shard);
          BACK.rmsNormHeads(a.rawK(), weights.keyNorm().orElseThrow(), epsilon, dk, tokens, shard);
        }
        ELEMENTWISE.rmsNorm(
            x, LayerForward.attentionNorm(weights), epsilon, work.normed, tokens, shard);
      }
      case QKV -> MAT_MUL.multiply(qkv, work.dNormed, tokens, work.back, shard);
      case INPUT_NORM ->
          BACK.addRmsNorm(
              x, LayerForward.attentionNorm(weights), epsilon, work.dNormed, d, tokens, shard);
      default -> throw new IllegalStateException("phase " + phase + " of a layer's backward");
    }
  }
}
