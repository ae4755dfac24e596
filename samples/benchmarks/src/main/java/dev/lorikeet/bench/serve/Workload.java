package dev.lorikeet.bench.serve;

import java.util.List;

/**
 * Prompts to continue, all at once where the library can.
 *
 * @param prompts for each sequence the ids of its prompt, without the begin of the sequence
 * @param adapters for each sequence the number of its adapter, -1 for none
 * @param tokens how many tokens to generate for each
 */
record Workload(List<List<Integer>> prompts, List<Integer> adapters, int tokens) {
  static final int NO_ADAPTER = -1;

  /** Returns the number of sequences. */
  int sequences() {
    return prompts.size();
  }

  /** Returns whether sequences use different adapters. */
  boolean mixed() {
    return adapters.stream().distinct().count() > 1;
  }
}
