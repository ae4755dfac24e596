package dev.lorikeet.jlama.training;

import dev.lorikeet.jlama.kernel.Rows;
import dev.lorikeet.shape.ModelShape;
import java.lang.foreign.SegmentAllocator;

/**
 * What the modules of a layer gave, magnitudes included: what the gradients of magnitudes want.
 *
 * @param q {@code [tokens, heads * headDim]}, before norms and positions
 * @param k {@code [tokens, kvHeads * headDim]}, likewise
 * @param v {@code [tokens, kvHeads * headDim]}
 * @param o {@code [tokens, hidden]}
 * @param gate {@code [tokens, intermediate]}
 * @param up {@code [tokens, intermediate]}
 * @param down {@code [tokens, hidden]}
 */
record ModuleOutputs(Rows q, Rows k, Rows v, Rows o, Rows gate, Rows up, Rows down) {
  static ModuleOutputs allocate(SegmentAllocator memory, ModelShape shape, int tokens) {
    return new ModuleOutputs(
        Rows.allocate(memory, tokens, shape.queryWidth()),
        Rows.allocate(memory, tokens, shape.kvWidth()),
        Rows.allocate(memory, tokens, shape.kvWidth()),
        Rows.allocate(memory, tokens, shape.hidden()),
        Rows.allocate(memory, tokens, shape.intermediate()),
        Rows.allocate(memory, tokens, shape.intermediate()),
        Rows.allocate(memory, tokens, shape.hidden()));
  }

  /** Copies the first rows. */
  static void copy(Rows from, Rows to, int tokens) {
    for (int t = 0; t < tokens; t++) {
      from.copyRow(t, to, t);
    }
  }
}
