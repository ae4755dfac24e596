package dev.lorikeet.host.serving;

/**
 * How a model serves requests.
 *
 * @param limits sizes of batch and queue
 * @param policy in what order waiting requests are admitted
 * @param routers what becomes of requests whose router is at fault
 * @param prefixCache whether keys and values are kept for requests that begin alike
 */
public record ServingOptions(
    Limits limits, Policy policy, RouterPolicy routers, boolean prefixCache) {}
