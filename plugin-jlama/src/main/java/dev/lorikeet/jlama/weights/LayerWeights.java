package dev.lorikeet.jlama.weights;

import dev.lorikeet.jlama.kernel.WeightMatrix;
import dev.lorikeet.shape.Projection;
import java.lang.foreign.MemorySegment;
import java.util.Optional;
import java.util.function.Function;

/**
 * The weights of one decoder layer.
 *
 * @param q query, {@code [heads * headDim, hidden]}
 * @param k key, {@code [kvHeads * headDim, hidden]}
 * @param v value, {@code [kvHeads * headDim, hidden]}
 * @param o attention output, {@code [hidden, heads * headDim]}
 * @param gate gate of the MLP, {@code [intermediate, hidden]}
 * @param up up-projection, {@code [intermediate, hidden]}
 * @param down down-projection, {@code [hidden, intermediate]}
 * @param inputNorm RMSNorm before attention, {@code hidden} float32
 * @param postAttentionNorm RMSNorm before the MLP, {@code hidden} float32
 */
public record LayerWeights(
    Linear q,
    Linear k,
    Linear v,
    Linear o,
    Linear gate,
    Linear up,
    Linear down,
    MemorySegment inputNorm,
    MemorySegment postAttentionNorm) {

  /**
   * A linear layer.
   *
   * @param weight {@code [out, in]}, as the file stores it
   * @param bias {@code out} float32, native order, aligned; empty where the model has none
   */
  public record Linear(WeightMatrix weight, Optional<MemorySegment> bias) {}

  /** Returns the same layer with other linear layers, one for every projection. */
  public LayerWeights with(Function<Projection, Linear> linears) {
    return new LayerWeights(
        linears.apply(Projection.Q),
        linears.apply(Projection.K),
        linears.apply(Projection.V),
        linears.apply(Projection.O),
        linears.apply(Projection.GATE),
        linears.apply(Projection.UP),
        linears.apply(Projection.DOWN),
        inputNorm,
        postAttentionNorm);
  }

  /** Returns the linear layer of a projection. */
  public Linear linear(Projection projection) {
    return switch (projection) {
      case Q -> q;
      case K -> k;
      case V -> v;
      case O -> o;
      case GATE -> gate;
      case UP -> up;
      case DOWN -> down;
    };
  }
}
