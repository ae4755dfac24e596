package dev.lorikeet.jlama.kernel;

import dev.lorikeet.host.step.Positions;
import java.lang.foreign.MemorySegment;

/**
 * The backward of {@link Elementwise}: gradients of rows of activations, one row per token, shared
 * out over shards as there. A token's result depends on that token alone, bit for bit.
 * Implementations are stateless and allocate nothing. Weights of norms are frozen.
 */
public sealed interface BackElementwise permits ScalarBackElementwise, VectorBackElementwise {
  /**
   * Adds the gradient of {@link Elementwise#rmsNorm}'s input to dx.
   *
   * @param x the input that the forward had
   * @param dy the gradient of its output
   * @param dx what is added to; may be neither x nor dy
   */
  void addRmsNorm(
      Rows x, MemorySegment weight, float epsilon, Rows dy, Rows dx, int tokens, Shard shard);

  /**
   * Replaces the gradient of {@link Elementwise#rmsNormHeads}' output by that of its input.
   *
   * @param x the input that the forward had, {@code [tokens, heads * headDim]}
   * @param d the gradient, in and out
   */
  void rmsNormHeads(Rows x, MemorySegment weight, float epsilon, Rows d, int tokens, Shard shard);

  /** Replaces the gradient of {@link Elementwise#rope}'s output by that of its input. */
  void rope(Rows d, RopeTable table, Positions positions, int tokens, Shard shard);

  /**
   * Replaces the inputs of {@link Elementwise#swiGlu} by their gradients. The relative error is
   * below 2^-20.
   *
   * @param dy the gradient of the output
   * @param gate in, the gate; out, its gradient
   * @param up in, the up-projection; out, its gradient
   */
  void swiGlu(Rows dy, Rows gate, Rows up, int tokens, Shard shard);
}
