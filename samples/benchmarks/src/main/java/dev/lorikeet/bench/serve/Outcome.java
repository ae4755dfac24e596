package dev.lorikeet.bench.serve;

import java.util.List;

/**
 * What a library did with a workload.
 *
 * @param decodeTokensPerSecond generated tokens per second while all sequences decode, their
 *     prompts and first tokens left out; 0 if only one token was asked for
 * @param timeToFirstTokenMs from the request to its first token, mean of the sequences
 * @param ids the ids generated for each sequence
 */
record Outcome(double decodeTokensPerSecond, double timeToFirstTokenMs, List<List<Integer>> ids) {}
