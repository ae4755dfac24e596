package dev.lorikeet.files.model;

import dev.lorikeet.shape.Projection;
import java.util.Map;

/**
 * A mixture of experts in place of every layer's MLP (arXiv 2401.04088): a router chooses a few of
 * them for each token, whose outputs are added up with the router's weights.
 *
 * @param count how many there are in a layer
 * @param perToken how many a token goes to
 * @param renormalized whether a token's weights add up to 1; otherwise they are those of the
 *     softmax over all experts
 * @param router the tensor of the router, within a layer
 * @param prefix what stands before an expert's number in the names of its tensors, within a layer
 * @param modules what its projections are called behind the number
 */
public record Experts(
    int count,
    int perToken,
    boolean renormalized,
    String router,
    String prefix,
    Map<Projection, String> modules) {
  public Experts {
    modules = Map.copyOf(modules);
  }
}
