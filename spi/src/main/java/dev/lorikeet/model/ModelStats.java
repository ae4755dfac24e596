package dev.lorikeet.model;

/**
 * Counts of a running base model.
 *
 * @param queued requests that wait
 * @param running sequences in the batch
 * @param steps iterations of the decoder so far
 * @param prefillTokens prompt tokens computed so far
 * @param decodeTokens generated tokens computed so far
 * @param largestBatch the largest number of sequences that one iteration held
 * @param kvCachePages pages that hold keys and values now
 */
public record ModelStats(
    int queued,
    int running,
    long steps,
    long prefillTokens,
    long decodeTokens,
    int largestBatch,
    int kvCachePages) {}
