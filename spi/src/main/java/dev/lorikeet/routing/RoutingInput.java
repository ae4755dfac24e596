package dev.lorikeet.routing;

import dev.lorikeet.tensor.Tensor;
import java.util.Optional;

/**
 * The tokens that a token or layer router decides on; views that are valid during the call alone.
 *
 * @param tokens how many tokens
 * @param layer the layer that asks, from 0; 0 for token routers
 * @param hidden {@code [>= tokens, hidden]}, F32: for token routers the embeddings, for layer
 *     routers the input of the layer's attention block after its norm
 * @param context {@code [>= tokens, hidden]}, F32: the running context that the router asked for;
 *     empty if it asked for none
 */
public record RoutingInput(int tokens, int layer, Tensor hidden, Optional<Tensor> context) {}
