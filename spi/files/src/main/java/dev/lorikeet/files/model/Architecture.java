package dev.lorikeet.files.model;

import dev.lorikeet.shape.ModelInfo;
import dev.lorikeet.shape.ModelShape;
import dev.lorikeet.shape.Projection;
import java.nio.file.Path;
import java.util.Collection;
import java.util.EnumSet;
import java.util.OptionalInt;
import java.util.Set;

/**
 * What a decoder has to know of a model beside its weights: a family's {@code config.json} as data.
 * Loaders and decoders run an architecture and never ask for a family's name. Made by a {@link
 * ModelFamily} through {@link ConfigFile#decoder}; further components come with further families.
 *
 * @param family the value of {@code model_type}, for people
 * @param shape the sizes
 * @param normEpsilon the epsilon of every RMSNorm
 * @param rope how queries and keys are rotated
 * @param biased the projections that have a bias
 * @param headNorms whether each head of q and k goes through an RMSNorm before it is rotated
 * @param slidingWindow how many positions, itself the last, a token sees, where that is fewer than
 *     {@code maxPositions}
 * @param tiedEmbeddings whether the embedding is the output matrix too
 * @param names what the tensors are called
 * @param maxPositions how long a sequence can be
 * @param bosToken the token that begins a sequence
 * @param eosTokens the tokens that end a generation; may be empty
 */
public record Architecture(
    String family,
    ModelShape shape,
    double normEpsilon,
    Rope rope,
    Set<Projection> biased,
    boolean headNorms,
    OptionalInt slidingWindow,
    boolean tiedEmbeddings,
    TensorNames names,
    int maxPositions,
    OptionalInt bosToken,
    Set<Integer> eosTokens) {

  public Architecture {
    biased = Set.copyOf(biased);
    eosTokens = Set.copyOf(eosTokens);
  }

  /** Returns the same architecture in other sizes. */
  public Architecture withShape(ModelShape sizes) {
    return new Architecture(
        family,
        sizes,
        normEpsilon,
        rope,
        biased,
        headNorms,
        slidingWindow,
        tiedEmbeddings,
        names,
        maxPositions,
        bosToken,
        eosTokens);
  }

  /**
   * Returns what is known of the model without its weights. A sequence ends where a sliding window
   * would begin to forget, so that attention over all positions is exact.
   *
   * @param weightType how the weights are stored
   */
  public ModelInfo info(Path directory, String weightType) {
    return ModelInfo.builder(directory, family, shape)
        .weightType(weightType)
        .maxPositions(Math.min(maxPositions, slidingWindow.orElse(Integer.MAX_VALUE)))
        .eosTokens(eosTokens)
        .build();
  }

  /** Builds an architecture: no biases, no norms of heads, no window unless told otherwise. */
  public static final class Builder {
    private final String family;
    private final ModelShape shape;
    private final double normEpsilon;
    private final Rope rope;
    private final Set<Projection> biased = EnumSet.noneOf(Projection.class);
    private boolean headNorms;
    private OptionalInt slidingWindow = OptionalInt.empty();
    private boolean tiedEmbeddings;
    private final int maxPositions;
    private OptionalInt bosToken = OptionalInt.empty();
    private Set<Integer> eosTokens = Set.of();

    Builder(String family, ModelShape shape, double normEpsilon, Rope rope, int maxPositions) {
      this.family = family;
      this.shape = shape;
      this.normEpsilon = normEpsilon;
      this.rope = rope;
      this.maxPositions = maxPositions;
    }

    /** Gives these projections a bias, beside those that have one already. */
    public Builder biased(Collection<Projection> projections) {
      biased.addAll(projections);
      return this;
    }

    /** Lets each head of q and k go through an RMSNorm. */
    public Builder headNorms() {
      headNorms = true;
      return this;
    }

    /** Sets how many positions a token sees; no fewer than all of them is no window. */
    public Builder slidingWindow(OptionalInt positions) {
      slidingWindow =
          positions.isPresent() && positions.getAsInt() < maxPositions
              ? positions
              : OptionalInt.empty();
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
      return new Architecture(
          family,
          shape,
          normEpsilon,
          rope,
          biased,
          headNorms,
          slidingWindow,
          tiedEmbeddings,
          TensorNames.LLAMA,
          maxPositions,
          bosToken,
          eosTokens);
    }
  }
}
