package dev.lorikeet.jlama.weights;

import dev.lorikeet.files.model.Norm.Place;
import dev.lorikeet.jlama.kernel.WeightMatrix;
import dev.lorikeet.shape.Projection;
import java.lang.foreign.MemorySegment;
import java.util.EnumMap;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.function.Function;

/** The weights of one decoder layer. Immutable. */
public final class LayerWeights {
  private final Map<Projection, Linear> linears;
  private final Map<Place, Optional<Norm>> norms;
  private final Optional<MemorySegment> queryNorm;
  private final Optional<MemorySegment> keyNorm;
  private final Optional<ExpertWeights> experts;

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
   * A norm.
   *
   * @param weight as many float32 as a row has elements
   * @param bias likewise; there for a LayerNorm
   */
  public record Norm(MemorySegment weight, Optional<MemorySegment> bias) {}

  /**
   * Makes a layer.
   *
   * @param linears its linear layers
   * @param norms its norms; of every place whether it has one
   * @param queryNorm the norm of q, of a head or of a whole row; empty where the model has none
   * @param keyNorm likewise of k
   * @param experts what the layer has in place of an MLP, if it does
   */
  LayerWeights(
      Map<Projection, Linear> linears,
      Map<Place, Optional<Norm>> norms,
      Optional<MemorySegment> queryNorm,
      Optional<MemorySegment> keyNorm,
      Optional<ExpertWeights> experts) {
    this.linears = new EnumMap<>(linears);
    this.norms = new EnumMap<>(norms);
    this.queryNorm = queryNorm;
    this.keyNorm = keyNorm;
    this.experts = experts;
  }

  /** Returns the same layer with other linear layers. */
  public LayerWeights with(Function<Projection, Linear> replacement) {
    Map<Projection, Linear> others = new EnumMap<>(linears);
    others.replaceAll((projection, linear) -> replacement.apply(projection));
    return new LayerWeights(others, norms, queryNorm, keyNorm, experts);
  }

  /** Returns the projections that the layer has. */
  public Set<Projection> projections() {
    return linears.keySet();
  }

  /** Returns the linear layer of a projection that the layer has. */
  public Linear linear(Projection projection) {
    Linear linear = linears.get(projection);
    if (linear == null) {
      throw new IllegalArgumentException(
          "projection: expected one of " + linears.keySet() + ", found " + projection);
    }
    return linear;
  }

  /** Returns query, {@code [heads * headDim, hidden]}. */
  public Linear q() {
    return linear(Projection.Q);
  }

  /** Returns key, {@code [kvHeads * headDim, hidden]}. */
  public Linear k() {
    return linear(Projection.K);
  }

  /** Returns value, {@code [kvHeads * headDim, hidden]}. */
  public Linear v() {
    return linear(Projection.V);
  }

  /** Returns the output of attention, {@code [hidden, heads * headDim]}. */
  public Linear o() {
    return linear(Projection.O);
  }

  /** Returns the gate of a gated MLP, {@code [intermediate, hidden]}. */
  public Linear gate() {
    return linear(Projection.GATE);
  }

  /** Returns the up-projection, {@code [intermediate, hidden]}. */
  public Linear up() {
    return linear(Projection.UP);
  }

  /** Returns the down-projection, {@code [hidden, intermediate]}. */
  public Linear down() {
    return linear(Projection.DOWN);
  }

  /** Returns the norm of a place, if the layer has one there. Allocates nothing. */
  public Optional<Norm> norm(Place place) {
    return Objects.requireNonNull(norms.get(place));
  }

  /** Returns the norm of q, of a head or of a whole row, if the layer has one. */
  public Optional<MemorySegment> queryNorm() {
    return queryNorm;
  }

  /** Returns the norm of k, likewise. */
  public Optional<MemorySegment> keyNorm() {
    return keyNorm;
  }

  /** Returns the experts that the layer has in place of an MLP, if it does. */
  public Optional<ExpertWeights> experts() {
    return experts;
  }
}
