package dev.lorikeet.jlama.training;

import dev.lorikeet.jlama.kernel.Rows;
import dev.lorikeet.jlama.kernel.SequenceAttention;
import dev.lorikeet.shape.ModelShape;
import java.lang.foreign.SegmentAllocator;

/**
 * What the backward of a layer needs beside the layer's input, one row per token.
 *
 * @param rawQ queries before the norm of their heads; of no columns' use where there is none
 * @param rawK keys likewise
 * @param inputs queries and keys, rotated, and values
 * @param outputs of attention
 * @param middle the residual stream behind attention, {@code [tokens, hidden]}
 * @param gate before the activation, {@code [tokens, intermediate]}
 * @param up likewise
 */
record LayerActivations(
    Rows rawQ,
    Rows rawK,
    SequenceAttention.Inputs inputs,
    SequenceAttention.Outputs outputs,
    Rows middle,
    Rows gate,
    Rows up) {

  static LayerActivations allocate(
      SegmentAllocator memory, ModelShape shape, boolean headNorms, int tokens) {
    Rows q = Rows.allocate(memory, tokens, shape.queryWidth());
    Rows k = Rows.allocate(memory, tokens, shape.kvWidth());
    Rows v = Rows.allocate(memory, tokens, shape.kvWidth());
    return new LayerActivations(
        headNorms ? Rows.allocate(memory, tokens, shape.queryWidth()) : q,
        headNorms ? Rows.allocate(memory, tokens, shape.kvWidth()) : k,
        new SequenceAttention.Inputs(q, k, v),
        new SequenceAttention.Outputs(
            Rows.allocate(memory, tokens, shape.queryWidth()),
            Rows.allocate(memory, tokens, shape.heads())),
        Rows.allocate(memory, tokens, shape.hidden()),
        Rows.allocate(memory, tokens, shape.intermediate()),
        Rows.allocate(memory, tokens, shape.intermediate()));
  }

  /** Returns the bytes that {@link #allocate} takes. */
  static long bytes(ModelShape shape, boolean headNorms, int tokens) {
    return (headNorms ? 3 : 2) * Rows.bytes(tokens, shape.queryWidth())
        + (headNorms ? 3 : 2) * Rows.bytes(tokens, shape.kvWidth())
        + Rows.bytes(tokens, shape.heads())
        + Rows.bytes(tokens, shape.hidden())
        + 2 * Rows.bytes(tokens, shape.intermediate());
  }

  /** Returns the same for fewer tokens. */
  LayerActivations first(int tokens) {
    return new LayerActivations(
        rawQ.first(tokens),
        rawK.first(tokens),
        new SequenceAttention.Inputs(
            inputs.q().first(tokens), inputs.k().first(tokens), inputs.v().first(tokens)),
        new SequenceAttention.Outputs(
            outputs.out().first(tokens), outputs.logSumExp().first(tokens)),
        middle.first(tokens),
        gate.first(tokens),
        up.first(tokens));
  }
}
