package dev.lorikeet.jlama.decoder;

import dev.lorikeet.jlama.kernel.Rows;
import dev.lorikeet.shape.ModelShape;
import java.lang.foreign.Arena;

/**
 * The buffers of a forward pass, one row per token, allocated once for the largest batch.
 *
 * @param residual the residual stream, {@code [tokens, hidden]}
 * @param normed the input of the current block, {@code [tokens, hidden]}
 * @param q queries, {@code [tokens, heads * headDim]}
 * @param k keys, {@code [tokens, kvHeads * headDim]}
 * @param v values, {@code [tokens, kvHeads * headDim]}
 * @param attention output of attention, {@code [tokens, heads * headDim]}
 * @param gate gate and, after the activation, input of the down-projection, {@code [tokens,
 *     intermediate]}; a row for each expert of a token where there are experts
 * @param up up-projection, likewise
 * @param denseGate {@code gate} of layers without experts in a model that has them, as wide as
 *     their MLPs; else that of all layers
 * @param denseUp likewise
 * @param block what a block adds to the residual stream, {@code [tokens, hidden]}
 * @param last final hidden states of the tokens whose logits are wanted, {@code [logits, hidden]}
 */
record Activations(
    Rows residual,
    Rows normed,
    Rows q,
    Rows k,
    Rows v,
    Rows attention,
    Rows gate,
    Rows up,
    Rows denseGate,
    Rows denseUp,
    Rows block,
    Rows last) {

  /**
   * Allocates the buffers.
   *
   * @param perToken how many MLPs compute a token: 1, or as many as it has experts
   * @param dense the width of MLPs beside experts; 0 where there are no such layers
   */
  static Activations allocate(
      Arena arena, ModelShape shape, int tokens, int perToken, int dense, int logits) {
    Rows gate = Rows.allocate(arena, tokens * perToken, shape.intermediate());
    Rows up = Rows.allocate(arena, tokens * perToken, shape.intermediate());
    return new Activations(
        Rows.allocate(arena, tokens, shape.hidden()),
        Rows.allocate(arena, tokens, shape.hidden()),
        Rows.allocate(arena, tokens, shape.queryWidth()),
        Rows.allocate(arena, tokens, shape.kvWidth()),
        Rows.allocate(arena, tokens, shape.kvWidth()),
        Rows.allocate(arena, tokens, shape.queryWidth()),
        gate,
        up,
        dense > 0 ? Rows.allocate(arena, tokens, dense) : gate,
        dense > 0 ? Rows.allocate(arena, tokens, dense) : up,
        Rows.allocate(arena, tokens, shape.hidden()),
        Rows.allocate(arena, logits, shape.hidden()));
  }
}
