package dev.lorikeet.jlama.weights;

import dev.lorikeet.jlama.kernel.WeightMatrix;
import dev.lorikeet.shape.Projection;
import java.lang.foreign.MemorySegment;
import java.util.EnumMap;
import java.util.Map;
import java.util.Objects;
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
 * @param queryNorm RMSNorm of each head of q, {@code headDim} float32; empty where the model has
 *     none
 * @param keyNorm RMSNorm of each head of k, likewise
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
    MemorySegment postAttentionNorm,
    Optional<MemorySegment> queryNorm,
    Optional<MemorySegment> keyNorm) {

  /**
   * A linear layer.
   *
   * @param weight {@code [out, in]}, as the file stores it
   * @param bias {@code out} float32, native order, aligned; empty where the model has none
   */
  public record Linear(WeightMatrix weight, Optional<MemorySegment> bias) {
    /** Returns the number of weights, the bias apart. */
    public long elements() {
      return weight.elements();
    }
  }

  /**
   * Returns a layer.
   *
   * @param linears one for every projection
   */
  static LayerWeights of(
      Map<Projection, Linear> linears,
      MemorySegment inputNorm,
      MemorySegment postAttentionNorm,
      Optional<MemorySegment> queryNorm,
      Optional<MemorySegment> keyNorm) {
    return new LayerWeights(
        of(linears, Projection.Q),
        of(linears, Projection.K),
        of(linears, Projection.V),
        of(linears, Projection.O),
        of(linears, Projection.GATE),
        of(linears, Projection.UP),
        of(linears, Projection.DOWN),
        inputNorm,
        postAttentionNorm,
        queryNorm,
        keyNorm);
  }

  private static Linear of(Map<Projection, Linear> linears, Projection projection) {
    return Objects.requireNonNull(linears.get(projection), projection::toString);
  }

  /** Returns the same layer with other linear layers, one for every projection. */
  public LayerWeights with(Function<Projection, Linear> replacement) {
    Map<Projection, Linear> linears = new EnumMap<>(Projection.class);
    for (Projection projection : Projection.ofLayer()) {
      linears.put(projection, replacement.apply(projection));
    }
    return of(linears, inputNorm, postAttentionNorm, queryNorm, keyNorm);
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
      case EMBED, LM_HEAD ->
          throw new IllegalArgumentException(
              "projection: expected a linear layer of a block, found " + projection);
    };
  }
}
