package dev.lorikeet.routing;

import dev.lorikeet.tensor.Tensor;
import java.util.Optional;

/**
 * The tokens that a token or layer router decides on; views that are valid during the call alone.
 *
 * <p>Make one with {@link #of}: the canonical constructor may gain parameters.
 *
 * @param tokens how many tokens
 * @param layer the layer that asks, from 0; 0 for token routers
 * @param hidden {@code [>= tokens, hidden]}, F32: for token routers the embeddings, for layer
 *     routers the input of the layer's attention block after its norm
 * @param context {@code [>= tokens, hidden]}, F32: the running context that the router asked for;
 *     empty if it asked for none
 */
public record RoutingInput(int tokens, int layer, Tensor hidden, Optional<Tensor> context) {

  /** Returns an input without running context. */
  public static RoutingInput of(int tokens, int layer, Tensor hidden) {
    return of(tokens, layer, hidden, Optional.empty());
  }

  /** Returns an input with the running context, if the router asked for one. */
  public static RoutingInput of(int tokens, int layer, Tensor hidden, Optional<Tensor> context) {
    return new RoutingInput(tokens, layer, hidden, context);
  }
}
