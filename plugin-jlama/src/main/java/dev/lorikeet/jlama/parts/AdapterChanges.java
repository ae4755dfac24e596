package dev.lorikeet.jlama.parts;

import dev.lorikeet.shape.Projection;
import java.util.List;
import java.util.Optional;

/**
 * What one registration of an adapter changes beside plain LoRA, ready to be applied. Immutable;
 * its vectors lie in pages that {@link ChangeCache} owns.
 *
 * @param outputs by layer and projection how outputs are changed; empty if none is
 * @param pages the pages of the vectors
 * @param changesEmbedding whether embeddings are changed
 * @param changesOutput whether the output layer is
 * @param changesRouters whether routers of experts are
 * @param changesExperts whether experts are
 */
@SuppressWarnings("ArrayRecordComponent") // never compared
record AdapterChanges(
    List<Optional<OutputChange>> outputs,
    int[] pages,
    boolean changesEmbedding,
    boolean changesOutput,
    boolean changesRouters,
    boolean changesExperts) {
  private static final int PROJECTIONS = Projection.ofLayer().size();

  /** Returns the place of a projection of a layer. */
  @SuppressWarnings("EnumOrdinal") // The projections of a layer are the first constants.
  static int place(int layer, Projection projection) {
    return layer * PROJECTIONS + projection.ordinal();
  }

  /** Returns how the output of a projection is changed, if it is. Allocates nothing. */
  Optional<OutputChange> output(int layer, Projection projection) {
    int place = place(layer, projection);
    return place < outputs.size() ? outputs.get(place) : Optional.empty();
  }
}
