package dev.lorikeet.files.model;

import dev.lorikeet.shape.ModelInfo;
import dev.lorikeet.shape.ModelShape;
import dev.lorikeet.shape.Projection;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.EnumSet;
import java.util.List;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.OptionalInt;
import java.util.Set;
import java.util.function.IntPredicate;
import java.util.function.UnaryOperator;

/**
 * What a decoder has to know of a model beside its weights: a family's {@code config.json} as data.
 * Loaders and decoders run an architecture and never ask for a family's name. Made by a {@link
 * ModelFamily} through {@link ConfigFile#decoder}; further components come with further families.
 *
 * @param family the value of {@code model_type}, for people
 * @param shape the sizes
 * @param norm how rows are normalized, everywhere
 * @param attention how tokens see one another
 * @param mlp the MLP of every layer, or of every expert
 * @param experts the experts that take the place of MLPs, if the model has them
 * @param multipliers factors on the way
 * @param biased the projections that have a bias
 * @param tiedEmbeddings whether the embedding is the output matrix too
 * @param names what the tensors are called
 * @param maxPositions how long a sequence can be
 * @param bosToken the token that begins a sequence
 * @param eosTokens the tokens that end a generation; may be empty
 */
public record Architecture(
    String family,
    ModelShape shape,
    Norm norm,
    Attention attention,
    Mlp mlp,
    Optional<Experts> experts,
    Multipliers multipliers,
    Set<Projection> biased,
    boolean tiedEmbeddings,
    TensorNames names,
    int maxPositions,
    OptionalInt bosToken,
    Set<Integer> eosTokens) {

  public Architecture {
    biased = Set.copyOf(biased);
    eosTokens = Set.copyOf(eosTokens);
  }

  /**
   * Returns the same architecture in other sizes; layers beyond those that it has are as its last.
   */
  public Architecture withShape(ModelShape sizes) {
    List<Attention.Layer> layers = new ArrayList<>();
    for (int layer = 0; layer < sizes.layers(); layer++) {
      layers.add(attention.layers().get(Math.min(layer, attention.layers().size() - 1)));
    }
    return with(sizes, attention.with(layers), maxPositions);
  }

  /**
   * Returns the same architecture for sequences longer than those of its first training, if it
   * rotates by other factors then (LongRoPE); itself if not. Keys of one sequence are all rotated
   * alike, so which factors are used cannot follow from how long a sequence has become.
   */
  public Architecture longContext() {
    int positions = maxPositions;
    List<Attention.Layer> layers = new ArrayList<>();
    for (Attention.Layer layer : attention.layers()) {
      if (layer.rope().isPresent()
          && layer.rope().get().scaling() instanceof RopeScaling.LongRope scaling) {
        Rope rope = layer.rope().get();
        positions = Math.max(positions, scaling.maxPositions());
        layers.add(
            new Attention.Layer(
                layer.window(),
                Optional.of(new Rope(rope.theta(), scaling.longer(), rope.part()))));
      } else {
        layers.add(layer);
      }
    }
    return with(shape, attention.with(layers), positions);
  }

  /**
   * Returns the same architecture for files that store weights as they are used: norms with what is
   * added to them, matrices by rows.
   */
  public Architecture storedAsUsed() {
    return new Architecture(
        family,
        shape,
        new Norm(norm.kind(), norm.epsilon(), 0),
        attention,
        mlp,
        experts,
        multipliers,
        biased,
        tiedEmbeddings,
        names.byRows(),
        maxPositions,
        bosToken,
        eosTokens);
  }

  private Architecture with(ModelShape sizes, Attention seen, int positions) {
    return new Architecture(
        family,
        sizes,
        norm,
        seen,
        mlp,
        experts,
        multipliers,
        biased,
        tiedEmbeddings,
        names,
        positions,
        bosToken,
        eosTokens);
  }

  /**
   * Returns what is known of the model without its weights.
   *
   * @param weightType how the weights are stored
   */
  public ModelInfo info(Path directory, String weightType) {
    return ModelInfo.builder(directory, family, shape)
        .weightType(weightType)
        .maxPositions(maxPositions)
        .eosTokens(eosTokens)
        .build();
  }

  /**
   * Builds an architecture: unless told otherwise that of Llama, with RMSNorm before attention and
   * MLP, full attention, a gated MLP with SiLU, and no biases.
   */
  public static final class Builder {
    private final String family;
    private final int maxPositions;
    private ModelShape shape;
    private Norm norm;
    private Norm.OfQueryAndKey queryKeyNorms = Norm.OfQueryAndKey.NONE;
    private OptionalDouble scale = OptionalDouble.empty();
    private OptionalDouble softCap = OptionalDouble.empty();
    private Optional<Attention.QueryScaling> queryScaling = Optional.empty();
    private final List<OptionalInt> windows;
    private final List<Optional<Rope>> ropes;
    private Mlp mlp = Mlp.SWI_GLU;
    private Optional<Experts> experts = Optional.empty();
    private Multipliers multipliers = Multipliers.NONE;
    private final Set<Projection> biased = EnumSet.noneOf(Projection.class);
    private boolean tiedEmbeddings;
    private TensorNames names = TensorNames.LLAMA;
    private OptionalInt bosToken = OptionalInt.empty();
    private Set<Integer> eosTokens = Set.of();

    Builder(String family, ModelShape shape, Norm norm, Optional<Rope> rope, int maxPositions) {
      this.family = family;
      this.shape = shape;
      this.norm = norm;
      this.maxPositions = maxPositions;
      windows = new ArrayList<>(Collections.nCopies(shape.layers(), OptionalInt.empty()));
      ropes = new ArrayList<>(Collections.nCopies(shape.layers(), rope));
    }

    /** Returns the number of layers. */
    public int layers() {
      return windows.size();
    }

    /** Returns the width of the residual stream. */
    public int hidden() {
      return shape.hidden();
    }

    /** Returns how long a sequence can be. */
    public int maxPositions() {
      return maxPositions;
    }

    /** Changes the shape, but not the number of layers. */
    public Builder shape(UnaryOperator<ModelShape.Builder> change) {
      shape = change.apply(shape.toBuilder()).build();
      return this;
    }

    /** Adds this to stored weights of norms before they are used. */
    public Builder normWeightOffset(double offset) {
      norm = new Norm(norm.kind(), norm.epsilon(), offset);
      return this;
    }

    /** Gives these projections a bias, beside those that have one already. */
    public Builder biased(Collection<Projection> projections) {
      biased.addAll(projections);
      return this;
    }

    /** Gives queries and keys norms of their own. */
    public Builder queryKeyNorms(Norm.OfQueryAndKey value) {
      queryKeyNorms = value;
      return this;
    }

    /** Sets the factor of the scores of attention. */
    public Builder attentionScale(double value) {
      scale = OptionalDouble.of(value);
      return this;
    }

    /** Caps the scores of attention. */
    public Builder attentionCap(OptionalDouble value) {
      softCap = value;
      return this;
    }

    /** Lets queries grow with their positions. */
    public Builder queryScaling(Attention.QueryScaling value) {
      queryScaling = Optional.of(value);
      return this;
    }

    /** Sets how many positions a token sees; no fewer than all of them is no window. */
    public Builder slidingWindow(OptionalInt positions) {
      return slidingWindow(positions, layer -> true);
    }

    /** The same for some layers. */
    public Builder slidingWindow(OptionalInt positions, IntPredicate ofLayer) {
      for (int layer = 0; layer < windows.size(); layer++) {
        boolean seesLess = positions.isPresent() && positions.getAsInt() < maxPositions;
        windows.set(layer, seesLess && ofLayer.test(layer) ? positions : OptionalInt.empty());
      }
      return this;
    }

    /** Rotates queries and keys of some layers in another way, or not. */
    public Builder rope(Optional<Rope> rope, IntPredicate ofLayer) {
      for (int layer = 0; layer < ropes.size(); layer++) {
        if (ofLayer.test(layer)) {
          ropes.set(layer, rope);
        }
      }
      return this;
    }

    Builder mlp(Mlp value) {
      mlp = value;
      return this;
    }

    /** Lets the activation follow the up-projection; there is no gate. */
    public Builder withoutGate() {
      mlp = new Mlp(mlp.activation(), false);
      return this;
    }

    /** Puts experts in the place of the MLPs of the layers that they name. */
    public Builder experts(Experts value) {
      experts = Optional.of(value);
      return this;
    }

    /** Sets factors. */
    public Builder multipliers(Multipliers value) {
      multipliers = value;
      return this;
    }

    /** Sets the names of the tensors. */
    public Builder names(TensorNames value) {
      names = value;
      return this;
    }

    Builder tiedEmbeddings(boolean value) {
      tiedEmbeddings = value;
      return this;
    }

    Builder tokens(OptionalInt bos, Set<Integer> eos) {
      bosToken = bos;
      eosTokens = eos;
      return this;
    }

    /** Returns the architecture. */
    public Architecture build() {
      int positions = maxPositions;
      List<Attention.Layer> layers = new ArrayList<>();
      for (int layer = 0; layer < windows.size(); layer++) {
        if (ropes.get(layer).map(Rope::scaling).orElse(new RopeScaling.None())
            instanceof RopeScaling.LongRope scaling) {
          positions = Math.min(positions, scaling.originalMaxPositions());
        }
        layers.add(new Attention.Layer(windows.get(layer), ropes.get(layer)));
      }
      return new Architecture(
          family,
          shape,
          norm,
          new Attention(queryKeyNorms, scale, softCap, queryScaling, layers),
          mlp,
          experts,
          multipliers,
          biased,
          tiedEmbeddings,
          names,
          positions,
          bosToken,
          eosTokens);
    }
  }
}
