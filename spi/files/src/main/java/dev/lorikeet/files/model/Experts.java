package dev.lorikeet.files.model;

import dev.lorikeet.shape.Projection;
import java.util.Map;
import java.util.Set;

/**
 * A mixture of experts in place of the MLP of every layer, or of some (arXiv 2401.04088): a router
 * chooses a few of them for each token, whose outputs are added up with the router's weights.
 *
 * @param count how many there are in a layer
 * @param perToken how many a token goes to
 * @param renormalized whether a token's weights add up to 1; otherwise they are those of the
 *     softmax over all experts
 * @param router the tensor of the router, within a layer
 * @param prefix what stands before an expert's number in the names of its tensors, within a layer
 * @param modules what its projections are called behind the number
 * @param dense the layers that have an MLP as others do, and no experts
 */
public record Experts(
    int count,
    int perToken,
    boolean renormalized,
    String router,
    String prefix,
    Map<Projection, String> modules,
    Dense dense) {
  public Experts {
    modules = Map.copyOf(modules);
  }

  /**
   * Layers without experts.
   *
   * @param layers which
   * @param intermediate the width of their MLPs
   */
  public record Dense(Set<Integer> layers, int intermediate) {
    /** No layers. */
    public static final Dense NONE = new Dense(Set.of(), 0);

    public Dense {
      layers = Set.copyOf(layers);
    }
  }

  /** Returns whether a layer has them. */
  public boolean in(int layer) {
    return !dense.layers().contains(layer);
  }

  /** Returns the same with layers that have none. */
  public Experts with(Dense without) {
    return new Experts(count, perToken, renormalized, router, prefix, modules, without);
  }
}
