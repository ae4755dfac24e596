package dev.lorikeet.adapter;

/**
 * Counts of an adapter store.
 *
 * @param registered names that can be acquired
 * @param resident generations whose weights are in memory
 * @param leased generations with at least one open lease
 * @param residentBytes bytes of weights in memory, without the waste at the ends of pages
 * @param residentPages pages that hold them, 0 for a store without pages
 * @param hits acquisitions that found the weights in memory
 * @param loads times that weights were brought into memory
 * @param evictions times that weights left it to make room
 */
public record StoreStats(
    int registered,
    int resident,
    int leased,
    long residentBytes,
    int residentPages,
    long hits,
    long loads,
    long evictions) {}
