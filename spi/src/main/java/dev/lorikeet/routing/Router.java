package dev.lorikeet.routing;

/**
 * Decides which adapters serve what, and with which weights. The scope is chosen by the
 * sub-interface: once per request ({@link RequestRouter}), once per token for all layers ({@link
 * TokenRouter}; LoRA-Switch, arXiv 2405.17741), or once per token and layer ({@link LayerRouter};
 * MixLoRA, arXiv 2404.15159).
 *
 * <p>Request routers are called from any thread. Token and layer routers are called from the
 * model's one decoding thread, with a batch that may hold tokens of many requests; they should take
 * microseconds per token. A router that throws, or whose decision is unusable, fails the requests
 * it was asked for and no other. Rules R1 to R11 of the specification.
 */
public sealed interface Router extends AutoCloseable
    permits RequestRouter, TokenRouter, LayerRouter {
  /** Releases what the router holds; idempotent. Does nothing by default. */
  @Override
  default void close() {}
}
